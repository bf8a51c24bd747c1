import type { AclType } from '../acl.ts'
import { allOf } from './all-of.ts'
import { anyOf } from './any-of.ts'
import { browser } from './browser.ts'
import { dstdomRegex } from './dstdom-regex.ts'
import { dstdomain } from './dstdomain.ts'
import { dstZone } from './dst-zone.ts'
import { dst } from './dst.ts'
import { localip } from './localip.ts'
import { localport } from './localport.ts'
import { method } from './method.ts'
import { myportname } from './myportname.ts'
import { port } from './port.ts'
import { proto } from './proto.ts'
import { random } from './random.ts'
import { refererRegex } from './referer-regex.ts'
import { reqHeader } from './req-header.ts'
import { src } from './src.ts'
import { srcZone } from './src-zone.ts'
import { time } from './time.ts'
import { urlRegex } from './url-regex.ts'
import { urlpathRegex } from './urlpath-regex.ts'

/** The types that work, by their name in the conf. */
export const aclTypes: Readonly<Record<string, AclType>> = {
  'src': src,
  'dst': dst,
  'src_zone': srcZone,
  'dst_zone': dstZone,
  'localip': localip,
  'dstdomain': dstdomain,
  'dstdom_regex': dstdomRegex,
  'url_regex': urlRegex,
  'urlpath_regex': urlpathRegex,
  'port': port,
  'localport': localport,
  'method': method,
  'proto': proto,
  'myportname': myportname,
  'time': time,
  'browser': browser,
  'referer_regex': refererRegex,
  'req_header': reqHeader,
  'any-of': anyOf,
  'all-of': allOf,
  'random': random,
}

/** Types whose feature is gone for good: such an ACL never matches, in Squid neither. */
export const retiredTypes: ReadonlySet<string> = new Set(['ident', 'ident_regex', 'src_as', 'dst_as', 'urlgroup'])
