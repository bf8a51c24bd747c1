// The admin port: three paths on a real socket, over a real machine. What Prometheus reads there is what the pages say,
// and costs nobody a password or a page.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { type AdminPort, openAdminPort } from '../../src/admin/index.ts'
import { answerFrom } from '../../src/cli/control.ts'
import { endpoint } from '../../src/base/index.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { get, site, stage, type Stage } from '../scenario/scene.ts'

const open: AdminPort[] = []
afterEach(async () => {
  for (const port of open.splice(0)) await port.close()
})

const door = async (proxy: Stage) => {
  const opened = await openAdminPort({ clock: proxy.clock, endpoint: endpoint('127.0.0.1', 0), answer: answerFrom(proxy.machine.manager), failed: error => { throw error } })
  if (!opened.ok) throw new Error(opened.reason)
  open.push(opened.port)
  return (path: string, options: RequestInit = {}) => fetch(`http://127.0.0.1:${opened.port.endpoint.port}${path}`, { ...options, headers: { connection: 'close' } })
}

/** Samples by name and labels; a line that is none fails. */
const samplesOf = (text: string): ReadonlyMap<string, number> => {
  const samples = new Map<string, number>()
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue
    const found = /^([a-z_]+(?:\{[a-z_]+="[^"]*"(?:,[a-z_]+="[^"]*")*\})?) (\S+)$/.exec(line)
    if (found === null) throw new Error(`no sample: ${line}`)
    expect(samples.has(found[1] ?? ''), `${line} twice`).toBe(false)
    samples.set(found[1] ?? '', Number(found[2]))
  }
  return samples
}

const busy = async () => {
  const proxy = await stage('acl no urlpath_regex ^/no\nhttp_access deny no\n'.replace(/^/, ''))
  const web = await site(() => ({ fields: ['Cache-Control: max-age=60'], content: 'x'.repeat(2000) }))
  for (const path of ['/', '/', '/', '/other']) await proxy.ask(get(web.port, path))
  await proxy.ask('GET / HTTP/9.9\r\n\r\n')
  await proxy.results(5)
  return proxy
}

describe('/metrics', () => {
  it('answers whatever the conf has opened, each name once and with its kind', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'glassquid-metrics-'))
    const proxy = await stage(
      `cache_dir ufs ${folder} 50 16 256\ncache_peer 127.0.0.1 parent 9 0 no-query name=up\nicp_port 0\ndelay_pools 1\ndelay_class 1 1\n` +
        'delay_parameters 1 1000/1000\ndelay_access 1 deny all\nservice deep plug\nlistener 127.0.0.1:0 service=deep name=deep\n',
    )
    const text = await (await (await door(proxy))('/metrics?compat=squid')).text()
    expect(samplesOf(text).get('glassquid_disk_stored_total')).toBe(0)
    const kinds = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = '', kind = '']) => [name, kind] as const)
    const helps = [...text.matchAll(/^# HELP (\S+) \S/gm)].map(([, name = '']) => name)
    expect(kinds.map(([name]) => name)).toEqual(helps)
    expect(new Set(helps).size).toBe(helps.length)
    for (const [name, kind] of kinds) expect(name.endsWith('_total'), `${name} ${kind}`).toBe(kind === 'counter')
    await proxy.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  it('has what was counted, as Prometheus reads it', async () => {
    const proxy = await busy()
    const answer = await (await door(proxy))('/metrics')
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'text/plain; version=0.0.4; charset=utf-8'])
    const samples = samplesOf(await answer.text())
    expect(samples.get('glassquid_requests_total{result="TCP_MEM_HIT"}')).toBe(2)
    expect(samples.get('glassquid_requests_total{result="TCP_MISS"}')).toBe(2)
    expect(samples.get('glassquid_responses_total{class="2"}')).toBe(4)
    expect(samples.get('glassquid_responses_total{class="5"}')).toBe(1)
    expect(samples.get('glassquid_hits_total')).toBe(2)
    expect(samples.get('glassquid_client_sent_hit_bytes_total')).toBeGreaterThan(4000)
    expect(samples.get('glassquid_server_requests_total')).toBe(2)
    expect(samples.get('glassquid_store_responses{tier="memory"}')).toBe(2)
    expect(samples.get('process_resident_memory_bytes')).toBeGreaterThan(10e6)
    expect(samples.get('process_max_fds')).toBe(proxy.machine.comm.budget.fdMax)
    expect([...samples.keys()].some(name => name.startsWith('squid_'))).toBe(false)
    // every counter of every room has its line
    for (const name of ['http_requests', 'log_dropped_lines', 'collapse_', 'memory_', 'comm_accepted']) {
      expect([...samples.keys()].some(key => key.startsWith(`glassquid_${name}`)), name).toBe(true)
    }
  })

  it('tells each cache_peer apart', async () => {
    const parent = await site(() => ({ content: 'x' }))
    const proxy = await stage(`cache_peer 127.0.0.1 parent ${parent.port} 0 no-query name=p\nnever_direct allow all\n`)
    await proxy.ask(get(9))
    const samples = samplesOf(await (await (await door(proxy))('/metrics')).text())
    const of = (name: string) => samples.get(`glassquid_peer_${name}{peer="p",kind="parent"}`)
    expect([of('up'), of('fetches_total'), of('connections'), of('icp_queries_total')]).toEqual([1, 1, 1, 0])
  })

  it('durations are a histogram: buckets grow up to the count', async () => {
    const samples = samplesOf(await (await (await door(await busy()))('/metrics')).text())
    for (const [kind, count] of [['all', 5], ['hit', 2], ['miss', 2], ['dns', 0]] as const) {
      const buckets = [...samples].filter(([name]) => name.startsWith('glassquid_duration_seconds_bucket') && name.includes(`kind="${kind}"`))
      expect(buckets).toHaveLength(21)
      expect(buckets.map(([, value]) => value)).toEqual(buckets.map(([, value]) => value).toSorted((a, b) => a - b))
      expect(buckets.at(-1)).toEqual([expect.stringContaining('le="+Inf"'), count])
      expect(samples.get(`glassquid_duration_seconds_count{kind="${kind}"}`)).toBe(count)
    }
  })

  const exporter = spawnSync('sh', ['-c', 'command -v prometheus-squid-exporter']).status === 0

  it.skipIf(!exporter)(`compat=squid has the names and values of prometheus-squid-exporter${exporter ? '' : ' (skipped: it is not here; bin/setup --test installs it)'}`, async () => {
    const proxy = await busy()
    const listen = await freePort()
    const child = spawn('prometheus-squid-exporter', ['-listen', `127.0.0.1:${listen}`, '-squid-hostname', '127.0.0.1', '-squid-port', String(proxy.port('web')), '-extractservicetimes=false'])
    try {
      let text = ''
      while (text === '') text = await fetch(`http://127.0.0.1:${listen}/metrics`).then(answer => answer.text(), () => new Promise<string>(resolve => setImmediate(resolve, '')))
      const theirs = [...text.matchAll(/^(squid_[a-z_]+)(?:\{[^}]*\})? (\S+)$/gm)].map(([, name = '', value]) => [name, Number(value)] as const).filter(([name]) => !name.includes('exporter'))
      const ours = samplesOf(await (await (await door(proxy))('/metrics?compat=squid')).text())
      expect([...ours.keys()].filter(name => name.startsWith('squid_')).sort()).toEqual(theirs.map(([name]) => name).sort())
      // what the exporter asked for itself was counted in between
      for (const [name, value] of theirs) if (/hits|server_http/.test(name)) expect(ours.get(name), name).toBe(value)
    } finally {
      child.kill()
      await once(child, 'close')
    }
  })
})

describe('/healthz and /readyz', () => {
  it('are 200 while clients are served; a proxy that stops lives, and is not ready', async () => {
    const proxy = await stage()
    const ask = await door(proxy)
    const both = async () => [(await ask('/healthz')).status, (await ask('/readyz')).status]
    expect(await both()).toEqual([200, 200])
    const wire = await proxy.client()
    wire.send('GET http') // keeps it from ending at once
    const stopped = proxy.machine.stop(60_000)
    expect(await both()).toEqual([200, 503])
    expect(await (await ask('/readyz')).text()).toBe('not ready: it stops\n')
    wire.close()
    proxy.clock.advance(60_000)
    await stopped
  })

  it('who does not answer is not ready, and nobody waits for him', async () => {
    const clock = new FakeClock()
    const opened = await openAdminPort({ clock, endpoint: endpoint('127.0.0.1', 0), answer: () => new Promise(() => {}), failed: () => {} })
    if (!opened.ok) throw new Error(opened.reason)
    open.push(opened.port)
    const asked = fetch(`http://127.0.0.1:${opened.port.endpoint.port}/readyz`)
    while (clock.pending === 0) await new Promise(setImmediate)
    clock.advance(5000)
    expect((await asked).status).toBe(503)
  })
})

it('nothing else is there: no page, no deed, no other method', async () => {
  const ask = await door(await stage())
  for (const path of ['/', '/squid-internal-mgr/menu', '/squid-internal-mgr/shutdown', '/metrics/x']) expect((await ask(path)).status, path).toBe(404)
  for (const method of ['POST', 'DELETE']) expect((await ask('/metrics', { method })).status).toBe(405)
})

it('a port that is taken is a sentence', async () => {
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  const { port } = taken.address() as { port: number } // it listens on an address
  const opened = await openAdminPort({ clock: new FakeClock(), endpoint: endpoint('127.0.0.1', port), answer: () => Promise.reject(new Error('never')), failed: () => {} })
  expect(opened).toEqual({ ok: false, reason: `127.0.0.1:${port}: EADDRINUSE` })
  taken.close()
})

/** The exporter cannot be told to take any. */
const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number } // it listens on an address
  server.close()
  await once(server, 'close')
  return port
}
