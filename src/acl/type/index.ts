import type { AclType } from '../acl.ts'
import { adaptationService } from './adaptation-service.ts'
import { allOf } from './all-of.ts'
import { annotateClient, annotateTransaction } from './annotate.ts'
import { anyOf } from './any-of.ts'
import { arp } from './arp.ts'
import { atStep } from './at-step.ts'
import { browser } from './browser.ts'
import { caCert, userCert } from './client-cert.ts'
import { clientConnectionMark } from './client-connection-mark.ts'
import { connectionsEncrypted } from './connections-encrypted.ts'
import { dst } from './dst.ts'
import { dstZone } from './dst-zone.ts'
import { dstdomRegex } from './dstdom-regex.ts'
import { dstdomain } from './dstdomain.ts'
import { eui64 } from './eui64.ts'
import { extUser } from './ext-user.ts'
import { extUserRegex } from './ext-user-regex.ts'
import { external } from './external.ts'
import { has } from './has.ts'
import { hierCode } from './hier-code.ts'
import { httpStatus } from './http-status.ts'
import { localip } from './localip.ts'
import { localport } from './localport.ts'
import { maxUserIp } from './max-user-ip.ts'
import { maxconn } from './maxconn.ts'
import { method } from './method.ts'
import { myportname } from './myportname.ts'
import { note } from './note.ts'
import { peername, peernameRegex } from './peername.ts'
import { port } from './port.ts'
import { proto } from './proto.ts'
import { proxyAuth } from './proxy-auth.ts'
import { proxyAuthRegex } from './proxy-auth-regex.ts'
import { random } from './random.ts'
import { refererRegex } from './referer-regex.ts'
import { repHeader } from './rep-header.ts'
import { repMimeType } from './rep-mime-type.ts'
import { reqHeader } from './req-header.ts'
import { reqMimeType } from './req-mime-type.ts'
import { serverCertFingerprint } from './server-cert-fingerprint.ts'
import { serverName, serverNameRegex } from './server-name.ts'
import { squidError } from './squid-error.ts'
import { sslError } from './ssl-error.ts'
import { src } from './src.ts'
import { srcZone } from './src-zone.ts'
import { srcdomRegex } from './srcdom-regex.ts'
import { srcdomain } from './srcdomain.ts'
import { tag } from './tag.ts'
import { time } from './time.ts'
import { transactionInitiator } from './transaction-initiator.ts'
import { urlRegex } from './url-regex.ts'
import { urllogin } from './urllogin.ts'
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
  'urllogin': urllogin,
  'srcdomain': srcdomain,
  'srcdom_regex': srcdomRegex,
  'arp': arp,
  'eui64': eui64,
  'maxconn': maxconn,
  'req_mime_type': reqMimeType,
  'rep_mime_type': repMimeType,
  'rep_header': repHeader,
  'http_status': httpStatus,
  'hier_code': hierCode,
  'adaptation_service': adaptationService,
  'squid_error': squidError,
  'transaction_initiator': transactionInitiator,
  'has': has,
  'note': note,
  'annotate_transaction': annotateTransaction,
  'annotate_client': annotateClient,
  'tag': tag,
  'peername': peername,
  'peername_regex': peernameRegex,
  'ssl::server_name': serverName,
  'ssl::server_name_regex': serverNameRegex,
  'at_step': atStep,
  'ssl_error': sslError,
  'user_cert': userCert,
  'ca_cert': caCert,
  'server_cert_fingerprint': serverCertFingerprint,
  'connections_encrypted': connectionsEncrypted,
  'client_connection_mark': clientConnectionMark,
  'proxy_auth': proxyAuth,
  'proxy_auth_regex': proxyAuthRegex,
  'max_user_ip': maxUserIp,
  'external': external,
  'ext_user': extUser,
  'ext_user_regex': extUserRegex,
}

/** Types that wait for what they ask about, and what is said of that where a rule uses one. */
export const waitingTypes: ReadonlyMap<string, string> = new Map([
  ['snmp_community', 'it is about SNMP requests, and there is no SNMP here'],
])

/** Types whose feature is gone for good: such an ACL never matches, in Squid neither. */
export const retiredTypes: ReadonlySet<string> = new Set(['ident', 'ident_regex', 'src_as', 'dst_as', 'urlgroup'])
