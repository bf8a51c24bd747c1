// Users, helpers and rewriters decide as with Squid 5.7: the same conf, the same programs (of sh) and the same requests,
// made by chance, for both. The seed is fixed; a failing case prints the lines and the request.

import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Ask, type Made, noSquid, withPair } from './pair.ts'

/** mulberry32 */
const randomFrom = (seed: number) => {
  let state = seed
  return (): number => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'glassquid-users-'))
  chmodSync(folder, 0o755)
  const script = (name: string, text: string): void => {
    writeFileSync(join(folder, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 })
  }
  script('basic', 'while IFS= read -r l; do case "$l" in *wrong*) echo "ERR message=nope";; *broken*) echo "BH message=sick";; *) echo OK;; esac; done')
  // yes to a user, a path, an argument, as the FORMAT has it; with a number in front when there is one
  script('group', 'while IFS= read -r l; do case "$l" in *ann*staff*|*/a*ok*) echo "OK tag=gold";; *sick*) echo BH;; *) echo ERR;; esac; done')
  script('numbered', 'while read -r id l; do case "$l" in "127.0.0.2 GET"*) echo "$id OK user=two";; *) echo "$id ERR";; esac; done')
  // what it was started with: each argument in brackets, where the answer has it
  script('arguments', 'words=$(printf "[%s]" "$@" | od -An -tx1 | tr -d " \\n"); while read -r l; do echo "OK status=302 url=http://else.test/$words"; done')
  script('rewrite', `while read -r url rest; do case "$url" in
    *go=302*) echo "OK status=302 url=\\"http://else.test/?\${rest%% *}\\"";;
    *go=301*) echo "OK status=301 url=http://else.test/";;
    *go=old*) echo "303:http://else.test/old";;
    *go=put*) echo "OK rewrite-url=\\"\${url%%\\?*}/put?b=put\\"";;
    *go=bare*) echo "\${url%%\\?*}/bare?b=bare";;
    *go=bad*) echo "OK rewrite-url=:::";;
    *go=sick*) echo BH;;
    *go=empty*) echo;;
    *) echo ERR;; esac; done`)
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const acls = (): string => `auth_param basic program ${folder}/basic
auth_param basic realm a realm
external_acl_type group ttl=60 %LOGIN ${folder}/group
external_acl_type paths ttl=60 %PATH %DATA ${folder}/group
external_acl_type numbered concurrency=5 %SRC %METHOD ${folder}/numbered
acl users proxy_auth REQUIRED
acl ann proxy_auth ann
acl Bob proxy_auth -i BOB
acl a proxy_auth_regex -i ^A
acl staff external group staff
acl sick external group sick
acl pathok external paths ok
acl two external numbered
acl gold tag gold
acl path urlpath_regex ^/a
acl post method POST
acl client src 127.0.0.2
acl known any-of ann Bob
acl both all-of path users
`

const pool = ['users', 'ann', 'Bob', 'a', 'staff', 'sick', 'pathok', 'two', 'gold', 'path', 'post', 'client', 'known', 'both', 'all']
// Left out: a password without a name. Squid takes it for somebody who cannot be asked, so that `allow !ann` lets him in; we ask.
const said = ['', '', 'ann:right', 'ann:right', 'ann:wrong', 'bob:right', 'Bob:right', 'eve:broken', 'amy:right', 'nocolon']

const fieldOf = (words: string): [string, string][] => (words === '' ? [] : [['Proxy-Authorization', `Basic ${Buffer.from(words).toString('base64')}`]])

const told = (ask: Ask, rules: readonly string[]): string => `${JSON.stringify(ask)}\n${rules.join('\n')}`

const seen = ({ status, result, asked, response }: Made) => ({
  status,
  denied: result.startsWith('TCP_DENIED') ? result : '',
  reached: asked !== null,
  challenge: response.filter(line => /^proxy-authenticate: /i.test(line)),
})

describe.skipIf(noSquid !== null)(`users and helpers ${noSquid ?? ''}`, () => {
  it.each(Array.from({ length: 8 }, (_, i) => ({ seed: 500 + i, lines: 2 + (i % 4) })))(
    'decide as with Squid: seed $seed, $lines lines, 30 requests',
    async ({ seed, lines }) => {
      const random = randomFrom(seed)
      const one = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T // never empty
      const rules = Array.from({ length: lines }, () => {
        const terms = Array.from({ length: 1 + Math.floor(random() * 2) }, () => `${random() < 0.3 ? '!' : ''}${one(pool)}`)
        return `http_access ${random() < 0.5 ? 'allow' : 'deny'} ${terms.join(' ')}`
      })
      await withPair(`${acls()}${rules.join('\n')}\n`, async pair => {
        for (let n = 0; n < 30; n++) {
          const method = one(['GET', 'GET', 'HEAD', 'POST'])
          const ask: Ask = {
            client: one(['127.0.0.2', '127.0.0.4']), method, target: `http://good.test:{port}${one(['/a', '/b', '/a/sick'])}`,
            fields: fieldOf(one(said)), content: method === 'POST' ? 'abc' : '',
          }
          const [squid, ours] = [await pair.squid(ask), await pair.glassquid(ask)]
          expect(seen(ours), told(ask, rules)).toEqual(seen(squid))
        }
      })
    },
    60_000,
  )

  it('a program gets the arguments that it gets from Squid', async () => {
    const words = [String.raw`-b "dc=x,dc=y" -w "p w" 'it"s'  a\ b "" "q\"\\ z" %g "#" {x}`, 'plain -f (a=%s) # a comment', `-b"c d"`, `"one"\t'two three'`]
    for (const list of words) {
      const conf = `url_rewrite_program ${folder}/arguments ${list}\nurl_rewrite_children 1 startup=1\nhttp_access allow all\n`
      await withPair(conf, async pair => {
        const ask: Ask = { client: '127.0.0.4', target: 'http://good.test:{port}/' }
        const location = ({ response }: Made): string | undefined => response.find(line => /^location: /i.test(line))
        const squid = location(await pair.squid(ask))
        expect(squid).toMatch(/else\.test\/\w/)
        expect(location(await pair.glassquid(ask)), list).toBe(squid)
      })
    }
  }, 60_000)

  it('a rewriter does with requests what it does in Squid', async () => {
    const conf = `acl seen urlpath_regex ^/seen\nurl_rewrite_program ${folder}/rewrite\nurl_rewrite_access allow seen\nurl_rewrite_extras "%>a/%>rm"\nhttp_access allow all\n`
    await withPair(conf, async pair => {
      for (const go of ['', '302', '301', 'old', 'put', 'bare', 'bad', 'sick', 'empty']) {
        for (const path of ['/seen', '/other']) {
          for (const method of ['GET', 'HEAD']) {
            const ask: Ask = { client: '127.0.0.4', method, target: `http://good.test:{port}${path}?go=${go}` }
            const [squid, ours] = [await pair.squid(ask), await pair.glassquid(ask)]
            const what = ({ status, result, asked, body, response }: Made) => ({
              status, redirected: result === 'TCP_REDIRECT', reached: asked !== null, body: status === 200 ? body : '',
              location: response.filter(line => /^location: /i.test(line)),
              host: asked?.find(line => line.toLowerCase().startsWith('host: ')),
            })
            expect(what(ours), JSON.stringify(ask)).toEqual(what(squid))
          }
        }
      }
    })
  }, 60_000)
})
