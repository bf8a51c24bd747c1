// Who a client is: asked with 407 where an access list wants to know, proved by basic and digest, remembered, logged, and
// never a password in what is logged. Seen with curl, with openssl's hashes and with programs of sh; origins count what
// gets through.

import { execFile, execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { ms } from '../../src/base/index.ts'
import type { WireResponse } from '../support/wire.ts'
import { CountHelper } from '../../src/helper/index.ts'
import { site, type Stage, stageOf, until } from './scene.ts'

const run = promisify(execFile)
let folder = ''
const file = (name: string): string => join(folder, name)

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'glassquid-auth-'))
  const hash = (kind: string, word: string): string => execFileSync('openssl', ['passwd', kind, word]).toString().trim()
  writeFileSync(file('passwd'), `# users\nann:${hash('-apr1', 'sesame')}\nbob:${hash('-6', 'open: it')}\n`)
  writeFileSync(file('plain'), 'ann:sesame\n')
  writeFileSync(file('digest'), `ann:the realm:${createHash('md5').update('ann:the realm:sesame').digest('hex')}\n`)
  // answers as the helper of a directory would; remembers what it was asked
  writeFileSync(file('basic.sh'), `while read -r user pass; do echo "$user" >> ${file('asked')}; case "$user $pass" in "ann sesame") echo OK;; "x x") exit 1;; *) echo 'ERR message="no such luck"';; esac; done\n`)
  writeFileSync(file('group.sh'), 'while read -r user group rest; do case "$user $group" in "ann staff") echo "OK tag=gold log=seen";; *) echo "ERR message=outsider";; esac; done\n')
  writeFileSync(file('asked'), '')
})

afterAll(() => rmSync(folder, { recursive: true, force: true }))

const asked = (): string[] => execFileSync('cat', [file('asked')]).toString().split('\n').filter(Boolean)

const basic = (user: string, password: string): string => `Proxy-Authorization: Basic ${Buffer.from(`${user}:${password}`).toString('base64')}\r\n`

const get = (port: number, fields = '', path = '/'): string => `GET http://127.0.0.1:${port}${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n${fields}\r\n`

const ncsa = (): string => `auth_param basic program /usr/lib/squid/basic_ncsa_auth ${file('passwd')}\nauth_param basic realm the realm\n`

const users = 'acl users proxy_auth REQUIRED\nhttp_access allow users\nhttp_access deny all\n'
const open = 'http_port 127.0.0.1:0 name=web\n'

const challenges = ({ fields }: WireResponse): readonly string[] => fields.pairs.filter((_, i) => i % 2 === 1 && fields.pairs[i - 1] === 'Proxy-Authenticate')

describe('a parent', () => {
  it('is chosen by who the client is (userhash), and told so (login=*:password)', async () => {
    const parents = [await site(() => ({})), await site(() => ({})), await site(() => ({}))]
    const peers = parents.map(({ port }, i) => `cache_peer 127.0.0.1 parent ${port} 0 no-query name=p${i} userhash login=*:pw\n`).join('')
    const proxy = await stageOf(`${open}${ncsa()}${users}${peers}never_direct allow all\n`)
    for (const path of ['/1', '/2', '/3']) {
      for (const [user, password] of [['ann', 'sesame'], ['bob', 'open: it']] as const) await inTime(proxy, proxy.ask(get(9, basic(user, password), path)))
    }
    await proxy.results(6)
    for (const user of ['ann', 'bob']) {
      const records = proxy.records.filter(r => r.user === user)
      expect(records.map(r => r.hierarchy)).toEqual(Array(3).fill('USERHASH_PARENT'))
      expect(new Set(records.map(r => r.peer)).size).toBe(1)
    }
    const told = parents.flatMap(one => one.requests.map((_, i) => one.field(i, 'proxy-authorization')))
    const as = (user: string): string => `Basic ${Buffer.from(`${user}:pw`).toString('base64')}`
    expect(told.sort()).toEqual([...Array(3).fill(as('ann')), ...Array(3).fill(as('bob'))].sort())
  })
})

/** Time passes until there is an answer. */
const inTime = async <T>(proxy: Stage, answer: Promise<T>): Promise<T> => {
  let over = false
  void answer.finally(() => {
    over = true
  })
  await until(() => {
    proxy.clock.advance(ms(50))
    return over
  }, 'an answer')
  return await answer
}

const curl = async (proxy: Stage, url: string, ...args: readonly string[]): Promise<string> => {
  const { stdout } = await run('curl', ['-s', '-o', '/dev/null', '-w', '%{http_code} %{num_connects}', '--noproxy', '', '-x', `http://127.0.0.1:${proxy.port('web')}`, ...args, url])
  return stdout
}

describe('basic', () => {
  it('asks who is there, lets a user of the file in, and logs the name', async () => {
    const origin = await site(() => ({ content: 'hello' }))
    const proxy = await stageOf(open + ncsa() + users)
    const refused = await proxy.ask(get(origin.port))
    expect([refused.status, refused.fields.get('proxy-authenticate'), refused.fields.get('x-squid-error')]).toEqual([407, 'Basic realm="the realm"', 'ERR_CACHE_ACCESS_DENIED 0'])
    expect((await proxy.ask(get(origin.port, basic('ann', 'sesame')))).status).toBe(200)
    expect((await proxy.ask(get(origin.port, basic('ANN', 'sesame'), '/b'))).status).toBe(200)
    expect((await proxy.ask(get(origin.port, basic('bob', 'open: it'), '/c'))).status).toBe(200)
    expect((await proxy.ask(get(origin.port, basic('ann', 'Sesame')))).status).toBe(407)
    expect((await proxy.ask(get(origin.port, basic('nobody', 'x')))).status).toBe(407)
    expect((await proxy.ask(get(origin.port, 'Proxy-Authorization: Basic !!!\r\n'))).status).toBe(407)
    expect(await proxy.results(7)).toEqual(['TCP_DENIED/407', 'TCP_MISS/200', 'TCP_MISS/200', 'TCP_MISS/200', 'TCP_DENIED/407', 'TCP_DENIED/407', 'TCP_DENIED/407'])
    expect(proxy.records.map(r => r.user)).toEqual(['', 'ann', 'ann', 'bob', 'ann', 'nobody', ''])
    expect(origin.requests).toHaveLength(3)
    for (let n = 0; n < 3; n++) expect(origin.field(n, 'proxy-authorization')).toBeUndefined()
  })

  it('asks the program once per user and password, for as long as they are believed', async () => {
    const origin = await site(() => ({ content: 'hello' }))
    const proxy = await stageOf(`${open}auth_param basic program /bin/sh ${file('basic.sh')}\nauth_param basic credentialsttl 1 minute\n${users}`)
    writeFileSync(file('asked'), '')
    const client = await proxy.client()
    for (let n = 0; n < 3; n++) expect((await client.send(get(origin.port, basic('ann', 'sesame'))).response()).status).toBe(200)
    expect(asked()).toEqual(['ann'])
    const wrong = await client.send(get(origin.port, basic('ann', 'wrong'))).response()
    expect(wrong.status).toBe(407)
    expect(wrong.body).toContain('no such luck')
    expect(asked()).toEqual(['ann', 'ann'])
    proxy.clock.advance(ms(61_000))
    expect((await proxy.ask(get(origin.port, basic('ann', 'sesame')))).status).toBe(200)
    expect(asked()).toEqual(['ann', 'ann', 'ann'])
  })

  it('whose program is gone lets nobody in, and answers', async () => {
    const origin = await site(() => ({ content: 'hello' }))
    const proxy = await stageOf(`${open}auth_param basic program /nonexistent/auth\n${users}`)
    expect((await inTime(proxy, proxy.ask(get(origin.port, basic('ann', 'sesame'))))).status).toBe(407)
    expect(origin.requests).toHaveLength(0)
    expect(proxy.said.join()).toContain('cannot start /nonexistent/auth: ENOENT')
  })

  it('keeps users over a reload, and reads the file anew when it has changed', async () => {
    const origin = await site(() => ({ content: 'hello' }))
    const conf = `${open}auth_param basic program /bin/sh ${file('basic.sh')}\n${users}`
    const proxy = await stageOf(conf)
    writeFileSync(file('asked'), '')
    expect((await proxy.ask(get(origin.port, basic('ann', 'sesame')))).status).toBe(200)
    proxy.reload(conf)
    expect((await proxy.ask(get(origin.port, basic('ann', 'sesame')))).status).toBe(200)
    expect(asked()).toEqual(['ann'])
  })

  it('is asked for by the site at accel ports, with 401', async () => {
    const origin = await site(() => ({ content: 'hello' }))
    const proxy = await stageOf(`http_port 127.0.0.1:0 accel vhost allow-direct name=web\n${ncsa()}${users}`)
    const ask = (fields = ''): string => `GET / HTTP/1.1\r\nHost: 127.0.0.1:${origin.port}\r\n${fields}\r\n`
    const refused = await proxy.ask(ask())
    expect([refused.status, refused.fields.get('www-authenticate'), refused.fields.get('proxy-authenticate')]).toEqual([401, 'Basic realm="the realm"', undefined])
    expect((await proxy.ask(ask(basic('ann', 'sesame').replace('Proxy-', '')))).status).toBe(200)
  })

  it('is spoken by curl, also for CONNECT', async () => {
    const origin = await site(() => ({ content: 'hello' }))
    const proxy = await stageOf(open + ncsa() + users)
    const url = `http://127.0.0.1:${origin.port}/`
    expect(await curl(proxy, url, '-U', 'ann:sesame')).toBe('200 1')
    expect(await curl(proxy, url, '-U', 'ann:wrong')).toBe('407 1')
    expect(await curl(proxy, url, '-p', '-U', 'ann:sesame')).toMatch(/^200/)
    expect(await curl(proxy, url, '--proxy-anyauth', '-U', 'bob:open: it')).toMatch(/^200/)
  })
})

describe('lists', () => {
  it('another user is asked again, by the ACL that had the last word', async () => {
    const origin = await site(() => ({ content: 'hello' }))
    const proxy = await stageOf(`${open}${ncsa()}acl ann proxy_auth ann\nacl re proxy_auth_regex -i ^AN\nhttp_access allow ann re\nhttp_access deny all\n`)
    expect((await proxy.ask(get(origin.port, basic('ann', 'sesame')))).status).toBe(200)
    expect((await proxy.ask(get(origin.port, basic('bob', 'open: it')))).status).toBe(403) // `all` had it
    proxy.reload(`${open}${ncsa()}acl ann proxy_auth ann\nhttp_access deny !ann\nhttp_access allow all\n`)
    expect((await proxy.ask(get(origin.port, basic('bob', 'open: it')))).status).toBe(407)
    expect((await proxy.ask(get(origin.port, basic('ann', 'sesame')))).status).toBe(200)
  })

  it('nobody is asked before an ACL about users is reached', async () => {
    const origin = await site(() => ({ content: 'hello' }))
    const proxy = await stageOf(`${open}${ncsa()}acl users proxy_auth REQUIRED\nacl free urlpath_regex ^/free\nhttp_access allow free\nhttp_access allow users\nhttp_access deny all\n`)
    expect((await proxy.ask(get(origin.port, '', '/free'))).status).toBe(200)
    expect((await proxy.ask(get(origin.port, '', '/paid'))).status).toBe(407)
  })

  it('deny_info has its page in place of ours, and the question stays', async () => {
    const proxy = await stageOf(`${open}${ncsa()}acl users proxy_auth REQUIRED\ndeny_info ERR_ACCESS_DENIED users\nhttp_access allow users\n`)
    const answer = await proxy.ask(get(1))
    expect([answer.status, answer.fields.get('x-squid-error'), answer.fields.get('proxy-authenticate')]).toEqual([407, 'ERR_ACCESS_DENIED 0', 'Basic realm="the realm"'])
  })

  it('max_user_ip counts where a user comes from', async () => {
    const origin = await site(() => ({ content: 'hello' }))
    const proxy = await stageOf(`${open}${ncsa()}authenticate_ip_ttl 1 minute\nfollow_x_forwarded_for allow all\nacl crowd max_user_ip -s 1\nacl users proxy_auth REQUIRED\nhttp_access deny crowd\nhttp_access allow users\nhttp_access deny all\n`)
    const from = (address: string) => proxy.ask(get(origin.port, `${basic('ann', 'sesame')}X-Forwarded-For: ${address}\r\n`))
    expect((await from('10.0.0.1')).status).toBe(200)
    expect((await from('10.0.0.2')).status).toBe(407)
    expect((await from('10.0.0.1')).status).toBe(200)
    proxy.clock.advance(ms(61_000))
    expect((await from('10.0.0.2')).status).toBe(200)
  })
})

describe('digest', () => {
  const digest = (program: string): string => `auth_param digest program ${program}\nauth_param digest realm the realm\nauth_param digest nonce_max_count 3\n${users}`

  it('offers what its file knows, and curl proves it, twice on one connection by one nonce', async () => {
    const origin = await site(() => ({ content: 'hello' }))
    const proxy = await stageOf(open + digest(`/usr/lib/squid/digest_file_auth ${file('plain')}`))
    const offered = challenges(await proxy.ask(get(origin.port)))
    expect(offered.map(line => /algorithm=(\S+), stale=false$/.exec(line)?.[1])).toEqual(['SHA-256', 'MD5'])
    const url = `http://127.0.0.1:${origin.port}/a?b=c`
    expect(await curl(proxy, url, '--proxy-digest', '-U', 'ann:sesame')).toBe('200 1')
    expect(await curl(proxy, url, '--proxy-digest', '-U', 'ann:wrong')).toMatch(/^407/)
    expect(proxy.records.filter(r => r.user === 'ann').map(r => r.status)).toEqual([200, 407])
  })

  it('knows files of secrets, and programs', async () => {
    const origin = await site(() => ({ content: 'hello' }))
    const url = `http://127.0.0.1:${origin.port}/`
    const secrets = await stageOf(open + digest(`/usr/lib/squid/digest_file_auth -c ${file('digest')}`))
    expect(await curl(secrets, url, '--proxy-digest', '-U', 'ann:sesame')).toMatch(/^200/)
    const ha1 = createHash('md5').update('ann:the realm:sesame').digest('hex')
    writeFileSync(file('digest.sh'), `while read -r line; do case "$line" in '"ann":"the realm"') echo 'OK ha1="${ha1}"';; *) echo ERR;; esac; done\n`)
    const program = await stageOf(open + digest(`/bin/sh ${file('digest.sh')}`))
    expect(await curl(program, url, '--proxy-digest', '-U', 'ann:sesame')).toMatch(/^200/)
    expect(await curl(program, url, '--proxy-digest', '-U', 'joe:sesame')).toMatch(/^407/)
  })

  it('takes no use twice, says stale when a nonce is used up or old, and wants the URI that is asked for', async () => {
    const origin = await site(() => ({ content: 'hello' }))
    const proxy = await stageOf(open + digest(`/usr/lib/squid/digest_file_auth ${file('plain')}`))
    const nonceOf = async (): Promise<string> => /nonce="([^"]+)"/.exec((await proxy.ask(get(origin.port))).fields.get('proxy-authenticate') ?? '')?.[1] ?? ''
    const md5 = (text: string): string => createHash('md5').update(text).digest('hex')
    const proof = (nonce: string, count: number, uri = '/'): string => {
      const nc = count.toString(16).padStart(8, '0')
      const response = md5(`${md5('ann:the realm:sesame')}:${nonce}:${nc}:cn:auth:${md5(`GET:${uri}`)}`)
      return `Proxy-Authorization: Digest username="ann", realm="the realm", nonce="${nonce}", uri="${uri}", qop=auth, nc=${nc}, cnonce="cn", response="${response}", algorithm=MD5\r\n`
    }
    const answer = async (fields: string): Promise<readonly [number, boolean]> => {
      const response = await proxy.ask(get(origin.port, fields))
      return [response.status, challenges(response).some(line => line.includes('stale=true'))]
    }
    const nonce = await nonceOf()
    expect(await answer(proof(nonce, 2))).toEqual([200, false])
    expect(await answer(proof(nonce, 1))).toEqual([200, false]) // overtaken, but new
    expect(await answer(proof(nonce, 2))).toEqual([407, true])
    expect(await answer(proof(nonce, 4))).toEqual([407, true])
    expect(await answer(proof('bWFkZSB1cA', 1))).toEqual([407, true])
    expect(await answer(proof(await nonceOf(), 1, '/other'))).toEqual([407, false])
    const old = await nonceOf()
    proxy.clock.advance(ms(31 * 60_000))
    expect(await answer(proof(old, 1))).toEqual([407, true])
  })

  it('lets in who has hashed another method only with post_workaround, and only as GET', async () => {
    const origin = await site(() => ({}))
    const md5 = (text: string): string => createHash('md5').update(text).digest('hex')
    const statuses: number[] = []
    for (const word of ['on', 'off']) {
      const proxy = await stageOf(`${open}auth_param digest post_workaround ${word}\n${digest(`/usr/lib/squid/digest_file_auth ${file('plain')}`)}`)
      for (const hashed of ['GET', 'PUT', 'POST']) {
        const nonce = /nonce="([^"]+)"/.exec((await proxy.ask(get(origin.port))).fields.get('proxy-authenticate') ?? '')?.[1] ?? ''
        const response = md5(`${md5('ann:the realm:sesame')}:${nonce}:00000001:cn:auth:${md5(`${hashed}:/`)}`)
        const field = `Proxy-Authorization: Digest username="ann", realm="the realm", nonce="${nonce}", uri="/", qop=auth, nc=00000001, cnonce="cn", response="${response}", algorithm=MD5\r\nContent-Length: 0\r\n`
        statuses.push((await proxy.ask(get(origin.port, field).replace('GET', 'POST'), 'POST')).status)
      }
    }
    expect(statuses).toEqual([200, 407, 200, 407, 407, 200])
  })

  it('tells a program names in UTF-8 where utf8 is on', async () => {
    const origin = await site(() => ({}))
    writeFileSync(file('names.sh'), `while read -r line; do echo "$line" >> ${file('names')}; echo ERR; done\n`)
    writeFileSync(file('names'), '')
    for (const word of ['on', 'off']) {
      const proxy = await stageOf(`${open}auth_param digest utf8 ${word}\n${digest(`/bin/sh ${file('names.sh')}`)}`)
      const nonce = /nonce="([^"]+)"/.exec((await proxy.ask(get(origin.port))).fields.get('proxy-authenticate') ?? '')?.[1] ?? ''
      const field = `Proxy-Authorization: Digest username="ren\xe9", realm="the realm", nonce="${nonce}", uri="/", qop=auth, nc=00000001, cnonce="cn", response="${'0'.repeat(32)}", algorithm=MD5\r\n`
      expect((await proxy.ask(get(origin.port, field))).status).toBe(407)
    }
    expect(readFileSync(file('names'), 'latin1')).toBe('"ren\xc3\xa9":"the realm"\n"ren\xe9":"the realm"\n')
  })

  it('counts on over a reload: a use from before cannot be repeated', async () => {
    const origin = await site(() => ({ content: 'hello' }))
    const conf = open + digest(`/usr/lib/squid/digest_file_auth ${file('plain')}`)
    const proxy = await stageOf(conf)
    const nonce = /nonce="([^"]+)"/.exec((await proxy.ask(get(origin.port))).fields.get('proxy-authenticate') ?? '')?.[1] ?? ''
    const sha = (text: string): string => createHash('sha256').update(text).digest('hex')
    const response = sha(`${sha('ann:the realm:sesame')}:${nonce}:00000001:cn:auth:${sha('GET:/')}`)
    const field = `Proxy-Authorization: Digest username="ann", realm="the realm", nonce="${nonce}", uri="/", qop=auth, nc=00000001, cnonce="cn", response="${response}", algorithm=SHA-256\r\n`
    expect((await proxy.ask(get(origin.port, field))).status).toBe(200)
    proxy.reload(conf)
    expect((await proxy.ask(get(origin.port, field))).status).toBe(407)
  })
})

describe('external', () => {
  it('is asked for who the client is, and what it says is logged', async () => {
    const origin = await site(() => ({ content: 'hello' }))
    const proxy = await stageOf(`${open}${ncsa()}external_acl_type group ttl=60 %LOGIN /bin/sh ${file('group.sh')}
acl staff external group staff
acl gold tag gold
http_access deny !staff
http_access allow gold
http_access deny all
`)
    expect((await proxy.ask(get(origin.port))).status).toBe(407)
    expect((await proxy.ask(get(origin.port, basic('ann', 'sesame')))).status).toBe(200)
    expect((await proxy.ask(get(origin.port, basic('bob', 'open: it')))).status).toBe(407) // it may be better known by another name
    await proxy.results(3)
    expect(proxy.records.map(r => [r.user, r.tag, r.helperLog, r.helperMessage])).toEqual([['', '', '', ''], ['ann', 'gold', 'seen', ''], ['bob', '', '', 'outsider']])
  })

  it('names a user who has proved nothing, for the log', async () => {
    const origin = await site(() => ({ content: 'hello' }))
    writeFileSync(file('session.sh'), 'while read -r id address rest; do echo "$id OK user=$address"; done\n')
    const proxy = await stageOf(`${open}external_acl_type session concurrency=10 ttl=0 %SRC /bin/sh ${file('session.sh')}\nacl session external session\nhttp_access allow session\nhttp_access deny all\n`)
    expect((await proxy.ask(get(origin.port))).status).toBe(200)
    expect(proxy.records[0]?.helperUser).toBe('127.0.0.1')
  })

  it('whose program is gone lets nobody in, whatever the line says, and only where it is asked', async () => {
    const origin = await site(() => ({ content: 'hello' }))
    const proxy = await stageOf(`${open}external_acl_type gone %SRC /nonexistent\nacl gone external gone\nacl free urlpath_regex ^/free\nhttp_access allow free\nhttp_access deny gone\nhttp_access allow all\n`)
    expect((await inTime(proxy, proxy.ask(get(origin.port)))).status).toBe(403)
    expect((await proxy.ask(get(origin.port, '', '/free'))).status).toBe(200)
  })
})

describe('answers of external_acl_type', () => {
  const counting = (name: string): string => {
    writeFileSync(file(name), `n=0; while read -r line; do n=$((n+1)); case "$line" in */no*) echo "ERR message=nr$n";; *) echo "OK tag=nr$n";; esac; done\n`)
    return `/bin/sh ${file(name)}`
  }

  it('are kept for ttl, and those that say no for negative_ttl', async () => {
    const origin = await site(() => ({ content: 'hello' }))
    const proxy = await stageOf(`${open}external_acl_type path ttl=60 negative_ttl=10 children-max=1 %PATH ${counting('ttl.sh')}\nacl path external path\nhttp_access allow path\nhttp_access deny all\n`)
    const ask = async (path: string): Promise<string> => {
      await proxy.ask(get(origin.port, '', path))
      const { tag, helperMessage } = proxy.records.at(-1) ?? {}
      return `${tag}${helperMessage}`
    }
    expect([await ask('/a'), await ask('/a'), await ask('/no'), await ask('/no')]).toEqual(['nr1', 'nr1', 'nr2', 'nr2'])
    proxy.clock.advance(ms(11_000))
    expect([await ask('/a'), await ask('/no')]).toEqual(['nr1', 'nr3'])
    proxy.clock.advance(ms(50_000))
    expect(await ask('/a')).toBe('nr4')
  })

  it('are asked for anew behind the back of whoever comes in their grace', async () => {
    const origin = await site(() => ({ content: 'hello' }))
    const proxy = await stageOf(`${open}external_acl_type path ttl=100 grace=50 children-max=1 %PATH ${counting('grace.sh')}\nacl path external path\nhttp_access allow path\nhttp_access deny all\n`)
    const tag = async (): Promise<string> => {
      await proxy.ask(get(origin.port, '', '/a'))
      return proxy.records.at(-1)?.tag ?? ''
    }
    expect(await tag()).toBe('nr1')
    proxy.clock.advance(ms(60_000))
    expect(await tag()).toBe('nr1')
    await until(() => CountHelper.answers >= before + 2, 'the new answer')
    proxy.clock.advance(ms(45_000)) // the first answer would be too old
    expect(await tag()).toBe('nr2')
  })

  let before = 0
  beforeEach(() => {
    before = CountHelper.answers
  })

  it('are for pages of deny_info, too', async () => {
    const proxy = await stageOf(`${open}external_acl_type path %PATH ${counting('page.sh')}\nacl path external path\ndeny_info http://info.test/?%o path\nhttp_access deny !path\n`)
    const answer = await proxy.ask(get(1, '', '/no'))
    expect([answer.status, answer.fields.get('location')]).toEqual([302, 'http://info.test/?nr1'])
  })
})

describe('auth_schemes', () => {
  const schemes = (): string => `${ncsa()}auth_param digest program /usr/lib/squid/digest_file_auth -c ${file('digest')}\nauth_param digest realm the realm\n`
  const offered = (response: WireResponse): string[] => challenges(response).map(text => text.split(' ')[0] ?? '')

  it('says which schemes are offered to whom, and in which order', async () => {
    const proxy = await stageOf(`${open}${schemes()}acl old browser OLD
acl odd browser ODD
auth_schemes basic old
auth_schemes negotiate,digest,ALL odd
auth_schemes digest
${users}`)
    const asks = (agent: string): Promise<WireResponse> => proxy.ask(get(1, `User-Agent: ${agent}\r\n`))
    expect(offered(await asks('OLD'))).toEqual(['Basic'])
    expect(offered(await asks('ODD'))).toEqual(['Digest', 'Basic'])
    expect(offered(await asks('new'))).toEqual(['Digest'])
  })
})

describe('authenticate_ip_shortcircuit_ttl', () => {
  it('takes who has proved who he is for that user at his address, for so long and where it is allowed', async () => {
    const proxy = await stageOf(`${open}${ncsa()}authenticate_ip_shortcircuit_ttl 60 seconds
acl shared req_header X-Shared .
authenticate_ip_shortcircuit_access deny shared
authenticate_ip_shortcircuit_access allow all
${users}`)
    const status = async (...fields: string[]): Promise<number> => (await proxy.ask(get(1, fields.join('')))).status
    expect(await status()).toBe(407)
    expect(await inTime(proxy, status(basic('ann', 'sesame')))).toBe(503) // let in, and nobody is there
    expect(await status()).toBe(503)
    expect(proxy.records.at(-1)?.user).toBe('ann')
    expect(await status('X-Shared: yes\r\n')).toBe(407)
    // who says something is judged by that
    expect(await inTime(proxy, status(basic('ann', 'wrong')))).toBe(407)
    expect(await status()).toBe(503)
    proxy.clock.advance(ms(61_000))
    expect(await status()).toBe(407)
  })
})
