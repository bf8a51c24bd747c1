// What a conf names on this machine and is not there is told by whoever reads it to run it, at the line that names it; and
// whatever found something, it is told in the order of the file.

import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { examined } from '../../src/cli/load-conf.ts'
import { portsWithoutAddress } from '../../src/cli/port-hosts.ts'
import { diagnosticText, parseConf, systemWorld } from '../../src/conf/index.ts'

const folder = mkdtempSync(join(tmpdir(), 'glassquid-places-'))
afterAll(() => rmSync(folder, { recursive: true }))

const file = (name: string, text: string, mode = 0o644): string => {
  const path = join(folder, name)
  writeFileSync(path, text)
  chmodSync(path, mode)
  return path
}

const found = (text: string, places = true): string[] =>
  examined(parseConf({ file: 'x', text: `http_port 127.0.0.1:3128\nhttp_access deny all\n${text}` }, systemWorld()), places).found
    .filter(({ message }) => !/that no line uses/.test(message))
    .map(({ severity, at, message }) => `${severity} ${at.line} ${message.replaceAll(folder, '')}`)

const there = file('helper', '#!/bin/sh\n', 0o755)
const locked = file('locked', '#!/bin/sh\n', 0o644)
const passwords = file('passwords', 'ann:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=\n')
const gone = join(folder, 'gone')

it.each([
  [`auth_param basic program ${gone} -x`, ['fatal 3 auth_param basic: /gone cannot be run (ENOENT)']],
  [`auth_param negotiate program ${locked}`, ['fatal 3 auth_param negotiate: /locked cannot be run (EACCES)']],
  [`external_acl_type e %SRC ${folder}\nacl e external e`, ['fatal 3 external_acl_type e:  cannot be run (it is a folder)']],
  [`url_rewrite_program no-such-program-anywhere`, ['fatal 3 url_rewrite_program: no-such-program-anywhere cannot be run (ENOENT)']],
  [`store_id_program /bin/sh ${gone}`, ['fatal 3 store_id_program: /bin/sh is to run /gone, which is not there']],
  [`sslcrtvalidator_program ${gone}`, ['fatal 3 sslcrtvalidator_program: /gone cannot be run (ENOENT)']],
  [`auth_param basic program /no/basic_ncsa_auth ${gone}`, ['fatal 3 auth_param basic: /no/basic_ncsa_auth cannot be run (ENOENT)']],
  [`external_acl_type e %SRC ${there} -f ${gone}\nacl e external e\nhttp_access deny e`, ['warning 3 external_acl_type e: there is no /gone', 'warning 5 this http_access line can never match: line 2 is for everybody']],
  [`access_log ${there}/access.log`, ['warning 3 there is no folder /helper: nothing will be written']],
  [`access_log ${gone}/access.log`, ['warning 3 there is no folder /gone: nothing will be written']],
  [`access_log daemon:${gone}/access.log squid`, ['warning 3 there is no folder /gone: nothing will be written']],
  [`cache_log ${gone}/cache.log`, ['warning 3 cache_log: there is no folder /gone: nothing will be written']],
  [`cache_log ${folder}`, ['warning 3 cache_log:  is a folder: nothing will be written']],
  [`access_log ${folder} squid`, ['warning 3  is a folder: nothing will be written']],
  [`pid_filename ${gone}/x.pid`, ['warning 3 pid_filename: there is no folder /gone: a start ends here']],
  [`hosts_file ${gone}`, ['warning 3 hosts_file: there is no /gone']],
  [`coredump_dir ${gone}`, ['warning 3 coredump_dir: there is no folder /gone: the working directory stays']],
  [`error_directory ${gone}`, ['warning 3 error_directory /gone cannot be read (ENOENT): pages are the built-in ones']],
  ['error_default_language tlh', ["warning 3 there are no error pages in 'tlh': there are de, en"]],
])('%s', (text, wanted) => expect(found(text)).toEqual(wanted))

it.each([
  `auth_param basic program ${there}`,
  `auth_param basic program /no/basic_ncsa_auth ${passwords}`, // done here
  'url_rewrite_program sh -c true',
  `store_id_program /bin/sh ${there}`,
  'sslcrtd_program /no/such/program',
  'logfile_daemon /no/such/program',
  'access_log syslog:local5',
  'access_log udp://127.0.0.1:9',
  `access_log ${folder}/access.log`,
  'cache_log /dev/stderr',
  'hosts_file none',
])('nothing is the matter with %s', text => expect(found(text)).toEqual([]))

it('only of one that is to be run', () => expect(found(`auth_param basic program ${gone}`, false)).toEqual([]))

it('there is no user: fatal for root, who would become him', () => {
  const severity = process.geteuid?.() === 0 ? 'fatal' : 'warning'
  expect(found('cache_effective_user nobody-of-that-name')).toEqual([`${severity} 3 cache_effective_user: there is no user 'nobody-of-that-name'`])
})

it('a port at a name that nobody knows', async () => {
  const { loaded } = examined(parseConf({ file: 'x', text: 'http_port localhost:3128\nhttp_port nobody.invalid:3129\nhttp_access deny all\n' }, systemWorld()))
  const unheard = loaded === null ? [] : await portsWithoutAddress(loaded.config)
  expect(unheard.map(({ at, message }) => `${at.line} ${message}`)).toEqual([expect.stringMatching(/^2 http_port nobody\.invalid:3129: 'nobody\.invalid' does not resolve/)])
})

it('an ACL whose own line is refused is not missed by each line that uses it', () => {
  const uses = 'http_access allow h\nssl_bump splice h\nacl g any-of h\nhttp_reply_access deny g\ndeny_info ERR_TOO_BIG h\naccess_log none h\n'
  expect(found(`acl h dst {{home}}\n${uses}`)).toEqual([
    'error 3 `{{home}}` looks like an unfilled template placeholder',
    expect.stringContaining('warning 4 this http_access line can never match'),
    expect.stringContaining('warning 5 ssl_bump means nothing'),
  ])
})

it.each([
  ['acl a rep_header\nhttp_access deny a', ["fatal 3 ACL type 'rep_header' needs a field name first"]],
  ['acl a user_cert\nhttp_access deny a', ["fatal 3 ACL type 'user_cert' needs an attribute first"]],
  ['icap_enable on\nicap_service s respmod_precache icap://127.0.0.1/a\nicap_service s respmod_precache icap://127.0.0.1/b\nadaptation_access s allow all', ['warning 5 icap_service s is already defined. Ignoring.']],
  [`external_acl_type e %SRC ${there}\nexternal_acl_type e %DST ${there}`, ['warning 4 external_acl_type e is already defined. Ignoring.']],
  ['icap_service s respmod_precache http://127.0.0.1/a', ["fatal 3 icap_service: expecting icap://HOST[:PORT]/SERVICE, got 'http://127.0.0.1/a'"]],
  ['acl a adaptation_service nobody', ["warning 3 there is no icap_service, set or chain 'nobody'"]],
  ['acl a dstdomain foo..com .', ["warning 3 'foo..com' is no domain name and matches nothing", "warning 3 '.' is no domain name"]],
])('said once: %s', (text, wanted) => expect(found(text).filter(line => !line.includes('can never match'))).toEqual(wanted))

it('findings come in the order of the files', () => {
  const inner = file('inner.conf', 'acl re url_regex (\nvia maybe\n')
  const text = `acl late time 22:00-06:00\nhttp_access allow nobody\ninclude ${inner}\nhttp_acess deny all\nurl_rewrite_program ${gone}\nacl name dstdomain http://x/\nhttp_access allow late re name\n`
  const places = examined(parseConf({ file: 'x', text }, systemWorld()), true).found.map(one => (diagnosticText(one).split('\n')[0] ?? '').replaceAll(`${folder}/`, '').replace(/^\w+: (\S+): .*/, '$1'))
  expect(places).toEqual(['x(1)', 'x(1)', 'x(2)', 'inner.conf(1)', 'inner.conf(2)', 'x(4)', 'x(4)', 'x(5)', 'x(6)', 'x(7)'])
})
