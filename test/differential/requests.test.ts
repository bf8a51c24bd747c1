// Directives about requests and their connections do with a request what they do in Squid 5.7: one conf, one origin, the
// same bytes for both. What differs on purpose stands with its case.

import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Ask, type Made, noSquid, withPair } from './pair.ts'

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'glassquid-requests-'))
  chmodSync(folder, 0o755)
  const script = (name: string, text: string): void => writeFileSync(join(folder, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 })
  script('rewrite', 'while read -r url rest; do case "$url" in *move*) echo "OK rewrite-url=\\"${url%move*}moved\\" mark=moved";; *gold*) echo "OK mark=gold mark=silver";; *) echo ERR;; esac; done')
  script('basic', 'while read -r l; do echo OK; done')
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

interface Row {
  readonly conf: string
  readonly asks: readonly Ask[]
}

const at = (path: string, more: Partial<Ask> = {}): Ask => ({ client: '127.0.0.2', target: `http://good.test:{port}${path}`, ...more })
const paths = (...list: readonly string[]): Ask[] => list.map(path => at(path))
const raw = (text: string): Ask => ({ client: '127.0.0.2', target: '', raw: text })
const forged = (...of: readonly string[]): Ask => at('/a', { fields: [['X-Forwarded-For', of.join(', ')]] })

const rows: readonly Row[] = [
  // what a rewriter has made is judged, and what it says beside is known to access lists
  ...['deny moved', 'deny !moved', 'allow moved', 'allow gold\nadapted_http_access deny all', 'deny silver', 'deny copper\nadapted_http_access allow all'].map(rule => ({
    conf: `url_rewrite_program {folder}/rewrite\nurl_rewrite_host_header on\nacl moved urlpath_regex moved\nacl gold note mark gold\nacl silver note mark silver\nacl copper note mark copper\nhttp_access allow all\nadapted_http_access ${rule}\n`,
    asks: paths('/a', '/move', '/gold', '/moved', '/a?b=gold'),
  })),
  // annotations of requests, and of the connection's
  {
    conf: 'acl first urlpath_regex ^/first\nacl tag annotate_transaction k=one k+=two\nacl one note k one\nacl two note k two\nacl three note k three\nacl any note k\nhttp_access deny three\nhttp_access allow first tag two\nhttp_access allow any\nhttp_access deny one\nhttp_access allow all\n',
    asks: paths('/first', '/second', '/first/again'),
  },
  // which schemes are offered
  ...['auth_schemes basic office', 'auth_schemes digest,basic office', 'auth_schemes digest office\nauth_schemes ALL', 'auth_schemes basic !office'].map(line => ({
    conf: `auth_param basic program {folder}/basic\nauth_param basic realm r\nauth_param digest program {folder}/basic\nauth_param digest realm r\nacl office src 127.0.0.2\nacl users proxy_auth REQUIRED\n${line}\nhttp_access allow users\nhttp_access deny all\n`,
    asks: [at('/a'), at('/a', { client: '127.0.0.4' })],
  })),
  // who is believed about others
  ...['on', 'off'].map(how => ({
    conf: `acl lb src 127.0.0.2 10.9.0.1\nacl bad src 10.1.0.0/16\nfollow_x_forwarded_for allow lb\nacl_uses_indirect_client ${how}\nhttp_access deny bad\nhttp_access allow all\n`,
    asks: [forged('10.1.2.3'), forged('10.1.2.3', '10.9.0.1'), forged('10.1.2.3', '10.2.0.1'), forged('10.2.2.3'), forged('unknown')],
  })),
  // blanks
  ...['deny', 'encode', 'chop', 'strip'].map(how => ({
    conf: `uri_whitespace ${how}\nrelaxed_header_parser on\nhttp_access allow all\n`,
    asks: [raw('GET http://good.test:{port}/a%20b HTTP/1.1\r\nHost: good.test:{port}\r\nConnection: close\r\n\r\n')],
  })),
]

const seen = ({ status, result, asked, response }: Made) => ({
  status,
  denied: result.startsWith('TCP_DENIED') ? result : '',
  reached: asked !== null,
  challenges: response.filter(line => /^proxy-authenticate: /i.test(line)).map(line => line.replace(/nonce="[^"]*"/, '').split(' ')[1]),
  forwarded: asked?.filter(line => /^x-forwarded-for: /i.test(line)) ?? [],
})

describe.skipIf(noSquid !== null)(`requests ${noSquid ?? ''}`, () => {
  it.each(rows.map((row, number) => ({ ...row, number })))('as in Squid: $number $conf', async ({ conf, asks }) => {
    await withPair(conf.replaceAll('{folder}', folder), async pair => {
      for (const ask of asks) {
        const [squid, ours] = [await pair.squid(ask), await pair.glassquid(ask)]
        expect(seen(ours), JSON.stringify(ask)).toEqual(seen(squid))
      }
    })
  }, 60_000)
})
