// Contract: name servers that keep silent, refuse, fail or talk nonsense stop nobody who can go on without them: intercepted
// requests go where the client was going, and are not held for each name anew. Who needs a name gets 503 with the reason
// within dns_timeout. What waits is bounded, and when the servers are well again, so is everything, by itself.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openNetwork } from '../../src/intercept/index.ts'
import { curl, factsLog, Gateway, inspected, mib, natPort, program, squidLikeConf, tproxyPort } from '../support/gateway.ts'
import { labAddresses, type Network, noLabWith, type Running } from '../support/net-lab.ts'

const cannot = noLabWith('nft', 'curl')
const origin = labAddresses.origin.ipv4
const namesMax = 500

describe.skipIf(cannot !== null)(`a gateway whose name servers ${cannot ?? ''}`, () => {
  let lab: Network
  let gateway: Gateway
  let names: Running
  let made = 0

  beforeAll(async () => {
    lab = await openNetwork()
    for (const port of [tproxyPort, natPort]) await lab.origin.spawn(process.execPath, [program('counting-origin'), String(port)]).heard('listening')
    names = lab.gateway.spawn(process.execPath, [program('ill-name-server'), origin])
    await names.heard('listening')
    gateway = await Gateway.open(lab, { conf: `${squidLikeConf}ipcache_size ${namesMax}\nnegative_dns_ttl 1 second\n${factsLog}`, env: inspected })
  })
  afterAll(() => lab.close())

  const become = async (how: string): Promise<void> => {
    names.tell(`${how}\n`)
    await names.heard(new RegExp(`now ${how}\n$`))
  }

  const nextName = (): string => `name-${++made}.example`

  /** Intercepted: the client knows the address. */
  const intercepted = (port: number, name: string) => curl(lab, '--resolve', `${name}:${port}:${origin}`, `http://${name}:${port}/`)

  /** The proxy has to find the address. */
  const forwarded = (name: string) => curl(lab, '-x', `http://${labAddresses.gateway.ipv4}:3128`, `http://${name}:${tproxyPort}/`)

  const wellAgain = async (): Promise<void> => {
    await become('well')
    await expect.poll(async () => (await forwarded(nextName())).status, { timeout: 20_000 }).toBe(200)
  }

  it.each(['silent', 'refused', 'servfail', 'garbage', 'late'])('are %s: who needs no name goes on, who does is told', { timeout: 120_000 }, async how => {
    await wellAgain()
    expect((await intercepted(tproxyPort, nextName())).status).toBe(200)
    await become(how)
    // each a name of its own, one after the other; held for dns_timeout each, 15 would take 30 seconds
    const all = Array.from({ length: 15 }, nextName)
    for (const port of [tproxyPort, natPort]) {
      const resolve = all.flatMap(name => ['--resolve', `${name}:${port}:${origin}`])
      const { stdout } = await lab.client.runWith({ deadlineMs: 25_000 }, 'curl', '-s', '-w', '%{http_code}\n', ...resolve, ...all.flatMap(name => ['-o', '/dev/null', `http://${name}:${port}/`]))
      expect(stdout.trim().split('\n')).toEqual(all.map(() => '200'))
    }
    expect(await gateway.about(`${all[14] ?? ''}:${natPort}`)).toMatchObject([{ taken: 'nat', status: 200, serverLocal: expect.stringMatching(/./) }])
    const name = nextName()
    const refused = await forwarded(name)
    expect([refused.code, refused.status]).toEqual([0, 503])
    expect(refused.content).toContain('ERR_DNS_FAIL')
    expect(refused.fields.get('x-squid-error')).toMatch(/^ERR_DNS_FAIL/)
    const [record] = await gateway.about(name)
    expect(record).toMatchObject({ status: 503 })
    // what is known goes on
    expect((await curl(lab, '-x', `http://${labAddresses.gateway.ipv4}:3128`, `http://origin.lab:${tproxyPort}/`)).status).toBe(200)
    await wellAgain()
    await expect.poll(async () => (await forwarded(name)).status, { timeout: 20_000 }).toBe(200)
  })

  it('are silent, while thousands of names are asked for: a bounded number waits and is remembered', { timeout: 120_000 }, async () => {
    await wellAgain()
    const flood = async (): Promise<string[]> => {
      const from = made
      made += 1500
      const { stdout } = await lab.client.run('curl', '-s', '-Z', '--parallel-max', '300', '--max-time', '25', '-o', '/dev/null', '-w', '%{http_code}\n', '-x', `http://${labAddresses.gateway.ipv4}:3128`, `http://name-[${from + 1}-${made}].example/`)
      return stdout.trim().split('\n').filter(line => /^\d+$/.test(line))
    }
    await become('silent')
    const first = await flood()
    expect([first.length, new Set(first)]).toEqual([1500, new Set(['503'])])
    const before = await gateway.aliveBytes()
    await Promise.all([flood(), flood(), flood()])
    const after = await gateway.aliveBytes()
    expect(after, `from ${mib(before)} to ${mib(after)}`).toBeLessThan(before + 6e6)
    const { stdout } = await lab.gateway.run('curl', '-sS', '-x', 'http://127.0.0.1:3128', 'http://127.0.0.1:3128/squid-internal-mgr/ipcache')
    expect(Number(/IPcache Entries Cached: +(\d+)/.exec(stdout)?.[1] ?? Number.NaN)).toBeLessThanOrEqual(namesMax)
    await wellAgain()
  })
})
