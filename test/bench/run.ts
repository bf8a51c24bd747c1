import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { spawnSync } from 'node:child_process'
import { parseArgs } from 'node:util'
import { ms, sleep, systemClock } from '../../src/base/index.ts'
import { labAddresses, openNetwork, type Network, type Running } from '../../src/intercept/index.ts'
import { load, type Load, type Measured, median, residentBytes } from './load.ts'
import { type Subject, subjects, type Work, works } from './subjects.ts'
import { idleHolder } from './idle.ts'

// npm run bench [-- --only glassquid,squid --works hit --rounds 5 --seconds 3]
//
//   client ──80── gateway: REDIRECT to the subject's port ── origin (nginx)
//     core 1          core 0                                   core 1
//
// Rounds are interleaved: each round measures every subject once, so that a machine that slows down slows all of them.
// What counts is the ratio to Squid within one round; the median over the rounds is printed, with least and most.

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    works: { type: 'string', default: '' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '3' },
    connections: { type: 'string', default: '50' },
    idle: { type: 'string', default: '10000' },
    sizes: { type: 'string', default: '1,16,100' },
  },
})

const browser = [
  'User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36',
  'Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8',
  'Accept-Encoding: gzip, deflate, br, zstd',
  'Accept-Language: en-GB,en;q=0.9,de;q=0.8',
  'Cookie: session=6f1d0c7be0af4a51b8a2; theme=dark; consent=yes; _ga=GA1.1.1234567890.1700000000',
  'Sec-Fetch-Dest: document',
  'Sec-Fetch-Mode: navigate',
  'Sec-Fetch-Site: none',
  'Upgrade-Insecure-Requests: 1',
  'Referer: http://203.0.113.10/index.html',
]

const origin = labAddresses.origin.ipv4
const rounds = Number(values.rounds)
const wantedWorks = values.works === '' ? works : works.filter(work => values.works.split(',').includes(work))
const wanted = subjects.filter(subject => values.only === '' || values.only.split(',').includes(subject.name))

interface Line {
  readonly work: string
  readonly by: Map<string, Measured[]>
}

const main = async (): Promise<void> => {
  const directory = mkdtempSync(join(tmpdir(), 'glassquid-bench-'))
  const network = await openNetwork()
  const running = new Map<Subject, Running>()
  try {
    await network.gateway.script('sysctl -qw net.ipv4.tcp_max_syn_backlog=8192 net.core.somaxconn=8192')
    await network.client.script('sysctl -qw net.ipv4.ip_local_port_range="1024 65535" net.ipv4.tcp_tw_reuse=1')
    await startOrigin(network, directory)
    for (const subject of wanted) {
      const started = await start(network, subject, directory)
      if (started !== null) running.set(subject, started)
    }
    console.log(`${cpus()[0]?.model}, ${cpus().length} cores; proxy on core 0, load and origin on core 1`)
    console.log(`${rounds} interleaved rounds of ${values.seconds} s, ${values.connections} connections; median (least..most)\n`)
    for (const line of await measureAll(network, directory, running)) print(line)
    if (wantedWorks.includes('idle')) await measureIdle(network, directory, running)
  } finally {
    for (const each of running.values()) await each.stop()
    await network.close()
    rmSync(directory, { recursive: true, force: true })
  }
}

const startOrigin = async (network: Network, directory: string): Promise<void> => {
  const www = join(directory, 'www')
  mkdirSync(www, { recursive: true })
  for (const kib of [1, 16, 100]) writeFileSync(join(www, `${kib}k`), Buffer.alloc(kib * 1024, 'x'))
  const conf = join(directory, 'origin.conf')
  writeFileSync(
    conf,
    `daemon off; worker_processes 1; user root; pid ${directory}/origin.pid; error_log ${directory}/origin.log;
events { worker_connections 4096; }
http { access_log off; default_type text/plain; keepalive_requests 1000000000; keepalive_timeout 600s; sendfile on; tcp_nopush on;
  client_body_temp_path ${directory}/ob; proxy_temp_path ${directory}/op; fastcgi_temp_path ${directory}/of;
  uwsgi_temp_path ${directory}/ou; scgi_temp_path ${directory}/os;
  server { listen 80 backlog=4096; listen [::]:80; root ${www};
    location / { add_header Cache-Control "max-age=36000"; }
    location /miss/ { alias ${www}/; add_header Cache-Control "no-store"; } } }
`,
  )
  const nginx = network.origin.spawn('taskset', ['-c', '1', 'nginx', '-p', directory, '-c', conf])
  await until(async () => (await network.gateway.run('curl', '-sf', '-o', '/dev/null', `http://${origin}/1k`)).code === 0, nginx)
}

/** Null, said aloud, when it is not installed. */
const start = async (network: Network, subject: Subject, directory: string): Promise<Running | null> => {
  const program = { squid: 'squid', 'nginx-light': 'nginx', haproxy: 'haproxy', varnish: 'varnishd' }[subject.debian ?? '']
  if (program !== undefined && spawnSync('sh', ['-c', `PATH=$PATH:/usr/sbin command -v ${program}`]).status !== 0) {
    console.log(`NOT MEASURED: ${subject.name} (apt-get install ${subject.debian})`)
    return null
  }
  const own = join(directory, subject.name)
  mkdirSync(own, { recursive: true, mode: 0o777 })
  spawnSync('chmod', ['777', own, directory])
  const running = subject.start(network.gateway, own, origin)
  await redirect(network, subject)
  await until(async () => (await network.client.run('curl', '-sf', '-o', '/dev/null', `http://${origin}/1k`)).code === 0, running)
  return running
}

const redirect = (network: Network, subject: Subject): Promise<string> =>
  network.gateway.script(`nft -f - <<'RULES'
table inet bench
delete table inet bench
table inet bench {
  chain pre {
    type nat hook prerouting priority dstnat
    iifname "lan" tcp dport 80 redirect to :${subject.port}
  }
}
RULES
conntrack -F >/dev/null 2>&1 || true`)

const until = async (ready: () => Promise<boolean>, running: Running): Promise<void> => {
  for (let tries = 0; tries < 100; tries++) {
    if (running.ended) throw new Error(`${running.what} ended:\n${running.said}`)
    if (await ready()) return
    await sleep(systemClock, ms(100))
  }
  throw new Error(`${running.what} is not ready:\n${running.said}`)
}

const trials = (): readonly { name: string; work: Work; load: Load }[] => {
  const base = { seconds: Number(values.seconds), connections: Number(values.connections) }
  const url = (path: string) => `http://${origin}${path}`
  const sizes = values.sizes.split(',').map(Number)
  return [
    ...sizes.map(kib => ({ name: `memory hit ${kib} KB, keep-alive`, work: 'hit' as const, load: { ...base, url: url(`/${kib}k`), headers: [] } })),
    { name: 'memory hit 1 KB, browser-like head', work: 'hit-browser' as const, load: { ...base, url: url('/1k'), headers: browser } },
    { name: 'miss 1 KB (no-store), pooled origin', work: 'miss' as const, load: { ...base, url: url('/miss/1k'), headers: [] } },
    { name: 'memory hit 1 KB, a new connection each', work: 'connect' as const, load: { ...base, url: url('/1k'), headers: ['Connection: close'] } },
  ].filter(trial => wantedWorks.includes(trial.work))
}

const measureAll = async (network: Network, directory: string, running: Map<Subject, Running>): Promise<Line[]> => {
  const lines: Line[] = []
  for (const trial of trials()) {
    const by = new Map<string, Measured[]>()
    for (let round = -1; round < rounds; round++) {
      for (const [subject, process] of running) {
        if (!subject.works.includes(trial.work)) continue
        await redirect(network, subject)
        // round -1 fills caches and warms compilers; nobody's is counted
        const seconds = round < 0 ? 1 : trial.load.seconds
        const found = await load(network.client, directory, { ...trial.load, seconds }, process.pid)
        if (round >= 0) by.set(subject.name, [...(by.get(subject.name) ?? []), found])
      }
    }
    lines.push({ work: trial.name, by })
  }
  return lines
}

const print = (line: Line): void => {
  console.log(`${line.work}`)
  const squid = line.by.get('squid')
  const net = line.by.get('net')
  for (const [name, found] of line.by) {
    const rates = found.map(each => each.perSecond)
    const against = (other: Measured[] | undefined) =>
      other === undefined ? '' : `${median(found.map((each, i) => each.perSecond / (other[i]?.perSecond ?? Number.NaN))).toFixed(2)}`
    const failures = found.reduce((sum, each) => sum + each.failures, 0)
    console.log(
      `  ${name.padEnd(10)} ${median(rates).toFixed(0).padStart(8)}/s (${Math.min(...rates).toFixed(0)}..${Math.max(...rates).toFixed(0)})` +
        `  x squid ${against(squid).padStart(5)}  x net ${against(net).padStart(5)}` +
        `  p99 ${median(found.map(each => each.latencyMs.p99)).toFixed(2)} ms  cpu ${(median(found.map(each => each.cpuPerThousand)) * 1000).toFixed(1)} us/request` +
        (failures > 0 ? `  FAILURES ${failures}` : ''),
    )
  }
  console.log('')
}

/**
 * Private resident memory of a process started for this, after a thousand connections came and went, and with so many
 * more that had one answer each and stay.
 */
const measureIdle = async (network: Network, directory: string, running: Map<Subject, Running>): Promise<void> => {
  console.log(`memory per idle intercepted connection (${values.idle} of them, each has had one answer)`)
  for (const [subject, former] of running) {
    if (!subject.works.includes('idle')) continue
    await former.stop()
    const process = await start(network, subject, directory)
    if (process === null) continue
    running.set(subject, process)
    await (await idleHolder(network.client, origin, 1000)).stop()
    await sleep(systemClock, ms(2000))
    const before = residentBytes(process.pid)
    const holder = await idleHolder(network.client, origin, Number(values.idle))
    await sleep(systemClock, ms(3000))
    const after = residentBytes(process.pid)
    console.log(`  ${subject.name.padEnd(10)} ${((after - before) / 1024 / Number(values.idle)).toFixed(2)} KB`)
    await holder.stop()
  }
}

await main()
