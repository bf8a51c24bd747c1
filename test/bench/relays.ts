import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { ms, sleep, systemClock } from '../../src/base/index.ts'
import { type Namespace, type Network, openNetwork, type Running } from '../../src/intercept/index.ts'
import { origin, startOrigin, tune } from './gateway.ts'
import { idleHolder } from './idle.ts'
import { large, largeMib } from './large.ts'
import { load } from './load.ts'
import { cpuSeconds, median, residentBytes } from './measure.ts'

// npm run bench:relays [-- --only glassquid,nginx,haproxy --works large,connect,udp,udp-new,idle --rounds 5 --seconds 3]
//
// What it costs to pass on bytes and datagrams with the client's address towards the server. The same three machines as
// npm run bench; rounds are interleaved. glassquid and HAProxy take by TPROXY; nginx cannot, and gets its connections by
// REDIRECT and its datagrams at an address of its own, which spares it the look-up of where they were going.

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    works: { type: 'string', default: 'large,connect,udp,udp-new,idle' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '3' },
    large: { type: 'string', default: '20' },
    flows: { type: 'string', default: '1000' },
    idle: { type: 'string', default: '7500' },
  },
})

/** That of DNS: one question, one answer, and the session may end. */
const udpPort = 53
const root = join(import.meta.dirname, '../..')
const nodex = join(root, 'bin/nodex')

interface Subject {
  readonly name: string
  readonly way: 'tproxy' | 'redirect'
  /** For TCP, and for datagrams; null = it does not relay them. */
  readonly port: number
  readonly udp: { readonly host: string; readonly port: number } | null
  command(directory: string): readonly string[]
}

const write = (directory: string, name: string, text: string): string => {
  const file = join(directory, name)
  writeFileSync(file, text)
  return file
}

const subjects: readonly Subject[] = [
  {
    name: 'glassquid',
    way: 'tproxy',
    port: 3130,
    udp: { host: origin, port: udpPort },
    command: directory => [
      join(root, 'bin/glassquid'), '-f',
      write(directory, 'relays.conf', `listener 0.0.0.0:3130 tproxy service=plugged
receiver 0.0.0.0:3153 tproxy service=plugged flows_max=60000 flows_per_client=60000 rcvbuf=4194304
router outside transparent forge_addr=on
service plugged plug router=outside
access_log none
session_log none
cache_log ${join(directory, 'relays.log')}
pid_filename none
visible_hostname bench
`),
    ],
  },
  {
    name: 'nginx',
    way: 'redirect',
    port: 3131,
    udp: { host: '198.51.100.1', port: 3154 },
    command: directory => [
      'nginx', '-p', directory, '-c',
      write(directory, 'nginx-stream.conf', `load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off; worker_processes 1; user root; pid ${directory}/nginx-stream.pid; error_log ${directory}/nginx-stream.log;
worker_rlimit_nofile 200000;
events { worker_connections 90000; }
stream {
  proxy_timeout 60s; proxy_bind $remote_addr transparent;
  server { listen 3131 backlog=4096; proxy_pass ${origin}:80; }
  server { listen 3154 udp rcvbuf=4m; proxy_pass ${origin}:${udpPort}; proxy_responses 1; proxy_requests 1; }
  server { listen 3155 udp rcvbuf=4m; proxy_pass ${origin}:${udpPort}; }
}
`),
    ],
  },
  {
    name: 'haproxy',
    way: 'tproxy',
    port: 3142,
    udp: null,
    command: directory => [
      'haproxy', '-db', '-f',
      write(directory, 'haproxy-tcp.cfg', `global
  nbthread 1
  maxconn 7900
defaults
  mode tcp
  option splice-auto
  timeout client 600s
  timeout server 600s
  timeout connect 5s
frontend f
  bind :3142 transparent
  default_backend b
backend b
  source 0.0.0.0 usesrc clientip
  server o ${origin}:80
`),
    ],
  },
]

const take = (network: Network, { way, port }: Subject): Promise<string> =>
  network.gateway.script(`nft -f - <<'RULES'
table inet bench
delete table inet bench
table inet bench {
  chain pre { type filter hook prerouting priority mangle
    meta l4proto tcp tcp flags & (syn|ack) != syn socket transparent 1 meta mark set 1 accept
    meta l4proto udp socket transparent 1 socket wildcard 0 meta mark set 1 accept
    ${way === 'tproxy' ? `iifname "lan" tcp dport 80 tproxy ip to :${port} meta mark set 1 accept\n    iifname "lan" tcp dport 80 drop` : ''}
    iifname "lan" udp dport ${udpPort} tproxy ip to :3153 meta mark set 1 accept
    iifname "lan" udp dport ${udpPort} drop
  }
  ${way === 'redirect' ? `chain nat { type nat hook prerouting priority dstnat; iifname "lan" tcp dport 80 redirect to :${port}; }` : ''}
}
RULES
conntrack -F >/dev/null 2>&1 || true`)

const askUdp = async (client: Namespace, host: string, port: number, anew: boolean, pid: number) => {
  const before = cpuSeconds(pid)
  const ran = await client.runWith(
    { deadlineMs: 120_000 },
    'sh', '-c', 'ulimit -n 200000 2>/dev/null; exec taskset -c 1 "$@"', 'sh', nodex, join(root, 'test/bench/udp-program.ts'),
    'ask', host, String(port), values.flows, values.seconds, anew ? '1' : '0',
  )
  const found = JSON.parse(ran.stdout.trim() || '{}') as { answered?: number; lost?: number; seconds?: number }
  if (found.answered === undefined) throw new Error(`udp: ${ran.stdout}${ran.stderr}`)
  const datagrams = 2 * found.answered
  return { perSecond: datagrams / (found.seconds ?? 1), cpuMicros: ((cpuSeconds(pid) - before) / datagrams) * 1e6, lost: found.lost ?? 0 }
}

type Row = readonly [label: string, value: number, digits: number]

const measure = async (network: Network, directory: string, subject: Subject, work: string, pid: number, warming: boolean): Promise<readonly Row[]> => {
  const { client } = network
  const seconds = warming ? 1 : Number(values.seconds)
  switch (work) {
    case 'large': {
      const found = await large(client, { url: `http://${origin}/${largeMib}m`, count: warming ? 4 : Number(values.large) }, pid)
      return [['CPU s/GB', found.cpuPerGb, 2], ['GB/s', found.gbPerSecond, 2], ['failures', found.failures, 0]]
    }
    case 'connect': {
      const found = await load(client, directory, { seconds, connections: 50, url: `http://${origin}/1k`, headers: ['Connection: close'] }, pid)
      return [['/s', found.perSecond, 0], ['cpu us each', found.cpuPerThousand * 1000, 1], ['p99 ms', found.latencyMs.p99, 1], ['failures', found.failures, 0]]
    }
    case 'udp':
    case 'udp-new': {
      if (subject.udp === null) return []
      const { host, port } = subject.udp
      const anew = work === 'udp-new'
      const found = await askUdp(client, host, !anew && subject.name === 'nginx' ? 3155 : port, anew, pid)
      return [['datagrams/s', found.perSecond, 0], ['cpu us each', found.cpuMicros, 2], ['lost', found.lost, 0]]
    }
  }
  return []
}

const start = async (network: Network, directory: string, subject: Subject): Promise<Running> => {
  const running = network.gateway.spawn('sh', [
    '-c', 'ulimit -n 200000 2>/dev/null || ulimit -n $(ulimit -Hn); exec taskset -c 0 "$@"', 'sh', ...subject.command(directory),
  ])
  await take(network, subject)
  for (let tries = 0; tries < 100; tries++) {
    if (running.ended) throw new Error(`${subject.name} ended:\n${running.said}`)
    if ((await network.client.run('curl', '-sf', '-m', '2', '-o', '/dev/null', `http://${origin}/1k`)).code === 0) return running
    await sleep(systemClock, ms(100))
  }
  throw new Error(`${subject.name} is not ready:\n${running.said}`)
}

/** Before memory is looked at: V8 gives back what opening so many sessions took only when nothing has happened for some seconds. */
const atRest = ms(20_000)

const main = async (): Promise<void> => {
  const directory = mkdtempSync(join(tmpdir(), 'glassquid-relays-'))
  const network = await openNetwork()
  const running = new Map<Subject, Running>()
  try {
    await tune(network)
    await network.gateway.script('sysctl -qw net.core.rmem_max=8388608 2>/dev/null || true')
    startOrigin(network, directory)
    const echo = network.origin.spawn('sh', ['-c', 'ulimit -n 200000 2>/dev/null; exec taskset -c 1 "$@"', 'sh', nodex, join(root, 'test/bench/udp-program.ts'), 'echo', String(udpPort)])
    await echo.heard('ready')
    const wanted = subjects.filter(({ name }) => values.only === '' || values.only.split(',').includes(name))
    for (const subject of wanted) running.set(subject, await start(network, directory, subject))
    console.log(`${cpus()[0]?.model}, ${cpus().length} cores; relay on core 0, load and servers on core 1`)
    console.log(`${values.rounds} interleaved rounds of ${values.seconds} s; median (least..most)\n`)
    for (const work of values.works.split(',').filter(each => each !== 'idle')) {
      const found = new Map<string, (readonly Row[])[]>()
      for (let round = -1; round < Number(values.rounds); round++) {
        for (const [subject, { pid }] of running) {
          await take(network, subject)
          const rows = await measure(network, directory, subject, work, pid, round < 0)
          if (round >= 0 && rows.length > 0) found.set(subject.name, [...(found.get(subject.name) ?? []), rows])
        }
      }
      console.log(work)
      for (const [name, rounds] of found) {
        const columns = (rounds[0] ?? []).map(([label, , digits], i) => {
          const all = rounds.map(rows => rows[i]?.[1] ?? Number.NaN)
          return `${median(all).toFixed(digits)} (${Math.min(...all).toFixed(digits)}..${Math.max(...all).toFixed(digits)}) ${label}`
        })
        console.log(`  ${name.padEnd(10)} ${columns.join('   ')}`)
      }
    }
    if (!values.works.split(',').includes('idle')) return
    console.log(`memory per plug session that idles, ${values.idle} of them`)
    for (const [subject, former] of [...running]) {
      await former.stop()
      const fresh = await start(network, directory, subject)
      running.set(subject, fresh)
      await (await idleHolder(network.client, origin, 1000)).stop()
      await sleep(systemClock, atRest)
      const before = residentBytes(fresh.pid)
      const holder = await idleHolder(network.client, origin, Number(values.idle))
      await sleep(systemClock, atRest)
      console.log(`  ${subject.name.padEnd(10)} ${((residentBytes(fresh.pid) - before) / 1024 / Number(values.idle)).toFixed(2)} KB, ${(residentBytes(fresh.pid) / 1048576).toFixed(0)} MB in all`)
      await holder.stop()
    }
  } finally {
    for (const each of running.values()) await each.stop()
    await network.close()
    rmSync(directory, { recursive: true, force: true })
  }
}

await main()
