// Related connections on the real kernel: a listener on somebody else's address, before any rule about what is to be
// taken, for the expected peer alone, and nothing left when it is over, however that comes. The origin's machine connects
// to the client's own address, as an FTP server does; the client's machine answers there by itself whenever the proxy
// does not, so who answered tells who had it. What the proxy says is compared each time.

import { describe, expect, it } from 'vitest'
import { COMM_REUSEADDR, createComm } from '../../comm/index.ts'
import { endpoint } from '../../src/base/index.ts'
import { planRules, ruleDefaults, type RuleForm, ruleText } from '../../src/intercept/index.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { labAddresses, type Namespace, type Network, noLabWith, type Running, withLab } from '../support/net-lab.ts'
import { noAddon } from './present.ts'

const { client, origin, bank } = labAddresses
const families = [
  ['IPv4', client.ipv4, origin.ipv4, bank.ipv4],
  ['IPv6', client.ipv6, origin.ipv6, bank.ipv6],
] as const

const port = 20_021
const at = (address: string, where = port): string => (address.includes(':') ? `[${address}]:${where}` : `${address}:${where}`)
const program = new URL('../support/programs/expecting.ts', import.meta.url).pathname

/** Everything from the server's side to the data port is taken by the administrator, for another listener. */
const rules = (form: RuleForm, take = [port], expectPort: number | null = null): string => {
  const answer = planRules([{ mode: 'tproxy', address: null, port: 3130, name: '3130' }], {
    ...ruleDefaults,
    interfaces: ['wan'],
    expectPort,
    take: [{ ports: take.map(each => ({ first: each, last: each })), listener: '3130' }],
  })
  if (!answer.ok) throw new Error(answer.reason)
  return ruleText(form, 'apply', answer.plan)
}

const clientScript = `
  require('net').createServer(c => { c.on('error', () => {}); c.end('the client itself\\n') })
    .listen(${port}, '::', () => console.log('up'))`

const askScript = `
  const [host, port, from] = process.argv.slice(1)
  const s = require('net').connect({ host, port: Number(port), localAddress: from })
  let said = ''
  s.setTimeout(3000, () => { console.log('nothing'); process.exit() })
  s.on('error', e => { console.log(e.code); process.exit() })
  s.on('data', d => { said += d }).on('end', () => { console.log(said.trim()); process.exit() })`

const ask = async (from: Namespace, host: string, where: number, by: string): Promise<string> =>
  (await from.must(process.execPath, '-e', askScript, host, String(where), by)).trim()

interface Scene {
  readonly lab: Network
  readonly proxy: Running
  /** Tells the proxy, and waits for its answer. */
  tell(words: string, answer: string | RegExp): Promise<string>
}

const scene = (script: string, play: (scene: Scene) => Promise<void>, ...words: readonly string[]): Promise<void> =>
  withLab(async lab => {
    await lab.gateway.script(script)
    await lab.client.spawn(process.execPath, ['-e', clientScript]).heard('up')
    const proxy = lab.gateway.spawn(process.execPath, [program, ...words])
    await proxy.heard('ready')
    const tell = (words: string, answer: string | RegExp) => {
      proxy.tell(`${words}\n`)
      return proxy.heard(answer)
    }
    await play({ lab, proxy, tell })
  })

const why = noAddon ?? noLabWith('nft', 'ss')

describe.skipIf(why !== null).each(families)(`a connection that is waited for, %s ${why ?? ''}`, (_family, ours, server, other) => {
  it('wins over a rule of the administrator’s that matches; when it is closed the rule has the port again', () =>
    scene(rules('nft'), async ({ lab, proxy, tell }) => {
      expect(await ask(lab.origin, ours, port, server)).toBe('the proxy, by the rule')
      await tell(`expect data ${at(ours)} ${at(server, 0)} 60000 often`, `expecting data ${at(ours)}`)
      expect(await ask(lab.origin, ours, port, server)).toBe('the proxy, for data')
      expect(await ask(lab.origin, ours, port, server)).toBe('the proxy, for data')
      expect(proxy.said).toMatch(new RegExp(`arrived data ${at(server, 0).replace(/[[\]]/g, '\\$&').slice(0, -1)}\\d+ ${at(ours).replace(/[[\]]/g, '\\$&')}`))
      await tell('close data', 'closed data')
      expect(await ask(lab.origin, ours, port, server)).toBe('the proxy, by the rule')
    }))

  it('is gone after one, after its time, and after close: the real host answers, or refuses', () =>
    scene(rules('nft', [9]), async ({ lab, tell }) => {
      expect(await ask(lab.origin, ours, port, server)).toBe('the client itself')
      await tell(`expect once ${at(ours)} ${at(server, 0)} 60000 once`, 'expecting once')
      expect(await ask(lab.origin, ours, port, server)).toBe('the proxy, for once')
      expect(await ask(lab.origin, ours, port, server)).toBe('the client itself')
      await tell(`expect silent ${at(ours, 20_022)} ${at(server, 0)} 60000 once`, 'expecting silent')
      await tell('close silent', 'closed silent')
      expect(await ask(lab.origin, ours, 20_022, server)).toBe('ECONNREFUSED') // nobody is there, and the client says so
      await tell(`expect short ${at(ours)} - 50 often`, 'ended short expired')
      expect(await ask(lab.origin, ours, port, server)).toBe('the client itself')
    }))

  it('refuses a third party first, and still serves the expected peer', () =>
    scene(rules('nft', [9]), async ({ lab, proxy, tell }) => {
      await tell(`expect data ${at(ours)} ${at(server, 0)} 60000 once`, 'expecting data')
      for (let i = 0; i < 3; i++) expect(await ask(lab.origin, ours, port, other)).toBe('ECONNRESET')
      expect(proxy.said.match(/unclaimed/g)).toHaveLength(3)
      expect(proxy.said).not.toContain('arrived')
      expect(await ask(lab.origin, ours, port, server)).toBe('the proxy, for data')
    }))

  it('leaves nothing behind a process that is killed', () =>
    scene(rules('nft', [9]), async ({ lab, proxy, tell }) => {
      await tell(`expect data ${at(ours)} - 60000 often`, 'expecting data')
      expect(await lab.gateway.must('ss', '-Hltn', `sport = :${port}`)).toContain(ours)
      proxy.kill()
      await proxy.exited
      expect(await lab.gateway.must('ss', '-Hltn', `sport = :${port}`)).toBe('')
      expect(await ask(lab.origin, ours, port, server)).toBe('the client itself')
    }))

  it('comes before the listener that has the same port of all addresses', () =>
    scene(rules('nft', [3130]), async ({ lab, tell }) => {
      await tell(`expect data ${at(ours, 3130)} ${at(server, 0)} 60000 often`, `expecting data ${at(ours, 3130)}`)
      expect(await ask(lab.origin, ours, 3130, server)).toBe('the proxy, for data')
      expect(await ask(lab.origin, ours, 3130, other)).toBe('the proxy, by the rule')
      await tell('close data', 'closed data')
      expect(await ask(lab.origin, ours, 3130, server)).toBe('the proxy, by the rule')
    }))

  it('does not open a listener on all addresses to foreign ones', () =>
    scene(rules('nft'), async ({ lab, proxy, tell }) => {
      await tell(`expect data ${at(ours)} - 60000 often`, 'expecting data')
      expect(await ask(lab.origin, ours, 3130, server)).toBe('ECONNREFUSED') // the client has no such port
      expect(proxy.said).not.toContain('taken')
    }))
})

describe.skipIf(why !== null).each(families)(`the same by sets of nf_tables, %s ${why ?? ''}`, (family, ours, server, other) => {
  const set = family === 'IPv4' ? 'expected4' : 'expected6'
  const elements = async (lab: Network, name = set): Promise<string> =>
    /elements = \{([^}]*)\}/.exec(await lab.gateway.must('nft', 'list', 'set', 'inet', 'glassquid', name))?.[1]?.trim() ?? ''

  it('wins over the administrator’s rule, for the expected peer alone; then the rule has the port again', () =>
    scene(
      rules('nft', [port], 3130),
      async ({ lab, tell }) => {
        await tell(`expect data ${at(ours)} ${at(server, 0)} 60000 once`, `expecting data ${at(ours)}`)
        expect(await elements(lab)).toMatch(new RegExp(`^${server} \\. ${ours} \\. ${port} timeout 1m5s expires 1m`))
        expect(await ask(lab.origin, ours, port, other)).toBe('the proxy, by the rule')
        expect(await ask(lab.origin, ours, port, server)).toBe('the proxy, for data')
        expect(await elements(lab)).toBe('')
        expect(await ask(lab.origin, ours, port, server)).toBe('the proxy, by the rule')
      },
      'sets',
    ))

  it('leaves a third party to the real host, and anybody is let in where anybody may come', () =>
    scene(
      rules('nft', [9], 3130),
      async ({ lab, proxy, tell }) => {
        await tell(`expect data ${at(ours)} ${at(server, 0)} 60000 often`, 'expecting data')
        expect(await ask(lab.origin, ours, port, other)).toBe('the client itself')
        expect(await ask(lab.origin, ours, port, server)).toBe('the proxy, for data')
        await tell('close data', 'closed data')
        await tell(`expect all ${at(ours)} - 60000 often`, 'expecting all')
        for (const from of [server, other]) expect(await ask(lab.origin, ours, port, from)).toBe('the proxy, for all')
        await tell('close all', 'closed all')
        expect(await ask(lab.origin, ours, port, server)).toBe('the client itself')
        expect([await elements(lab), await elements(lab, `${set}_by_all`)]).toEqual(['', ''])
        expect(proxy.said).not.toContain('unclaimed')
      },
      'sets',
    ))

  it('holds a place once for two who wait there alike, and chooses ports itself', () =>
    scene(
      rules('nft', [9], 3130),
      async ({ lab, tell }) => {
        await tell(`expect one ${at(ours)} ${at(server, 0)} 60000 once`, 'expecting one')
        await tell(`expect two ${at(ours)} ${at(server, 0)} 90000 once`, 'expecting two')
        expect((await elements(lab)).split('\n')).toHaveLength(1)
        await tell('close one', 'closed one')
        expect(await elements(lab)).toContain('timeout 1m35s')
        expect(await ask(lab.origin, ours, port, server)).toBe('the proxy, for two')
        const said = await tell(`expect some ${at(ours, 0)} ${at(server, 0)} 60000 once`, /expecting some .*/)
        const chosen = Number(said.split(':').at(-1))
        expect(chosen).toBeGreaterThanOrEqual(32_768)
        expect(await ask(lab.origin, ours, chosen, server)).toBe('the proxy, for some')
      },
      'sets',
    ))

  it('is a lease: a killed process leaves what runs out, and the next one takes it away at once', () =>
    scene(
      rules('nft', [9], 3130),
      async ({ lab, proxy, tell }) => {
        await tell(`expect data ${at(ours)} ${at(server, 0)} 60000 often`, 'expecting data')
        proxy.kill()
        await proxy.exited
        expect(await elements(lab)).toContain('expires')
        expect(await ask(lab.origin, ours, port, server)).toBe('the client itself') // nobody listens: the packet goes on
        await lab.gateway.spawn(process.execPath, [program, 'sets']).heard('ready')
        expect(await elements(lab)).toBe('')
      },
      'sets',
    ))
})

describe.skipIf(why !== null)(`sets that are not there ${why ?? ''}`, () => {
  it('are said to be missing, with what makes them', () =>
    withLab(async lab => {
      await lab.gateway.script(rules('nft'))
      const { code, stderr } = await lab.gateway.run(process.execPath, program, 'sets')
      expect(code).not.toBe(0)
      expect(stderr).toContain('the set expected4 of the nft table glassquid cannot be changed (ENOENT): it is made by glassquid rules')
    }))
})

describe.skipIf(noAddon !== null)('a listener that is closed', () => {
  it('leaves its address to who wants it in the same turn', () => {
    const comm = createComm({ engine: 'native', clock: new FakeClock() })
    const options = { endpoint: endpoint('127.0.0.1', 0), flags: COMM_REUSEADDR, dualStack: false, backlog: 4, natBackend: 'none', note: 'x' } as const
    const first = comm.listen(options, () => {})
    for (let i = 0; i < 5; i++) {
      first.close()
      const again = comm.listen({ ...options, endpoint: first.endpoint }, () => {})
      again.close()
    }
    comm.close()
  })
})

describe.skipIf(why !== null)(`many that are waited for ${why ?? ''}`, () => {
  it('are sockets while they are, and none after', () =>
    scene(rules('nft'), async ({ lab, tell }) => {
      const limit = Number(/open files +\d+ +(\d+)/.exec(await lab.gateway.must('cat', '/proc/self/limits'))?.[1] ?? 0)
      const count = Math.min(4000, limit - 500)
      await tell(`many ${count} ${port}`, new RegExp(`many ${count} ${count + 1}\\nnone 1\\n`))
    }))
})
