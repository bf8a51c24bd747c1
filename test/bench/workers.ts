import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { ms } from '../../src/base/index.ts'
import { type Network, openNetwork, type Running } from '../../src/intercept/index.ts'
import { origin, startOrigin, take, tune } from './gateway.ts'
import { cpuSeconds, family, median } from './measure.ts'

// npm run bench:workers [-- --workers 1,2 --share 0.25 --rounds 5 --seconds 4]      as root
//
// What several workers serve, on a machine that has no cores left for the generator. Each worker gets a share of a core, no
// more (a CPU quota of its own), and a core of its own as far as there are any; what is left is wrk's, which must not be
// what is measured. So a rate is that of workers with `share` of a core each, and the ratio of two such rates says what one
// worker more is worth: locks, the kernel's sharing out of connections, and caches of the processor included; memory
// bandwidth at full speed not.
//
//   a round: 1 worker, 2 workers, ... each with the same wrk, hits of 1 KB through REDIRECT
//
// A round is only believed if all workers have used the time they were given (`used`); else the machine was busy, or wrk was
// too slow, and it is measured again, a few times. Beside it stands what follows from processor time alone, of all rounds.

const { values } = parseArgs({
  options: {
    workers: { type: 'string', default: '1,2' },
    share: { type: 'string', default: '0.25' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '4' },
    connections: { type: 'string', default: '64' },
    /** So much of what they were given the workers must have used. */
    used: { type: 'string', default: '0.95' },
  },
})

const share = Number(values.share)
const seconds = Number(values.seconds)
const counts = values.workers.split(',').map(Number)
const root = join(import.meta.dirname, '../..')
const periodUs = 20_000
/** For each round that is wanted. */
const attemptsMax = 6

interface Row {
  readonly perSecond: number
  /** Of all workers, for one request, in microseconds. */
  readonly cpuMicros: number
  /** Of what they were given, the workers have used so much. */
  readonly used: number
  readonly wrkCores: number
  /** What each worker has used of the sum. */
  readonly shares: readonly number[]
}

/** A group of processes that may use so much of a core. cgroup v1 and v2 differ in the files. */
class Quota {
  readonly #folder: string

  constructor(name: string, cores: number) {
    const v1 = '/sys/fs/cgroup/cpu'
    const isV1 = existsSync(join(v1, 'cgroup.procs')) && !existsSync('/sys/fs/cgroup/cgroup.controllers')
    this.#folder = join(isV1 ? v1 : '/sys/fs/cgroup', `glassquid-bench-${process.pid}-${name}`)
    mkdirSync(this.#folder)
    const quotaUs = Math.round(periodUs * cores)
    if (isV1) {
      writeFileSync(join(this.#folder, 'cpu.cfs_period_us'), String(periodUs))
      writeFileSync(join(this.#folder, 'cpu.cfs_quota_us'), String(quotaUs))
    } else writeFileSync(join(this.#folder, 'cpu.max'), `${quotaUs} ${periodUs}`)
  }

  add(pid: number): void {
    writeFileSync(join(this.#folder, 'cgroup.procs'), String(pid))
  }

  /** When nobody is in it any more. */
  close(): void {
    rmdirSync(this.#folder)
  }
}

class Subject {
  readonly count: number
  readonly port: number
  readonly #running: Running
  readonly #quotas: Quota[] = []
  #workers: readonly number[] = []

  constructor(network: Network, directory: string, count: number) {
    this.count = count
    this.port = 3100 + count
    const conf = join(directory, `workers-${count}.conf`)
    writeFileSync(conf, `workers ${count}
http_port ${this.port} intercept
http_access allow all
cache_mem 64 MB
access_log none
cache_log ${join(directory, `workers-${count}.log`)}
pid_filename none
visible_hostname bench
`)
    this.#running = network.gateway.spawn(join(root, 'bin/glassquid'), ['-N', '-f', conf])
  }

  async ready(network: Network): Promise<void> {
    await this.#running.heard(/^ready: /m, ms(60_000))
    const { pid } = this.#running
    this.#workers = this.count === 1 ? [pid] : family(pid).filter(each => each !== pid)
    for (const [i, worker] of this.#workers.entries()) {
      const quota = new Quota(`${this.count}-${i}`, share)
      quota.add(worker)
      this.#quotas.push(quota)
      await network.gateway.must('taskset', '-a', '-p', '-c', String(i % cpus().length), String(worker))
      await network.gateway.run('renice', '-n', '-10', '-p', String(worker))
    }
  }

  get usedSeconds(): readonly number[] {
    return this.#workers.map(cpuSeconds)
  }

  async stop(): Promise<void> {
    await this.#running.stop()
    for (const quota of this.#quotas) quota.close()
  }
}

const script = `done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d\\n", summary.requests, summary.duration, e.connect + e.read + e.write + e.timeout + e.status))
end
`

const measure = async (network: Network, directory: string, subject: Subject, length: number): Promise<Row> => {
  await take(network, 'redirect', subject.port)
  const file = join(directory, 'done.lua')
  writeFileSync(file, script)
  const before = subject.usedSeconds
  const { stdout, stderr } = await network.client.runWith(
    { deadlineMs: (length + 30) * 1000 },
    'sh', '-c', `nice -n -10 wrk -t2 -c${values.connections} -d${length}s -s ${file} http://${origin}/1k; times`,
  )
  const used = subject.usedSeconds.map((after, i) => after - (before[i] ?? 0))
  const sum = used.reduce((a, b) => a + b, 0)
  const [, requests = 0, micros = 1, failed = 0] = /RESULT (\d+) (\d+) (\d+)/.exec(stdout)?.map(Number) ?? []
  if (requests === 0 || failed > 0) throw new Error(`wrk: ${failed} failed\n${stdout}${stderr}`)
  // the second line of `times` is the children's: 0m1.23s 0m4.56s
  const wrk = [...(stdout.trim().split('\n').at(-1) ?? '').matchAll(/(\d+)m([\d.]+)s/g)].reduce((all, [, m, s]) => all + Number(m) * 60 + Number(s), 0)
  return {
    perSecond: requests / (micros / 1e6),
    cpuMicros: (sum / requests) * 1e6,
    used: sum / (subject.count * share * length),
    wrkCores: wrk / length,
    shares: used.map(each => each / sum),
  }
}

const main = async (): Promise<void> => {
  const directory = mkdtempSync(join(tmpdir(), 'glassquid-workers-'))
  const network = await openNetwork()
  const subjects: Subject[] = []
  try {
    await tune(network)
    startOrigin(network, directory)
    const loadNow = readFileSync('/proc/loadavg', 'latin1').split(' ').slice(0, 3).join(' ')
    console.log(`${cpus()[0]?.model}, ${cpus().length} cores; load ${loadNow}; each worker ${share} of a core; ${values.rounds} rounds of ${seconds} s, ${values.connections} connections`)
    for (const count of counts) {
      const subject = new Subject(network, directory, count)
      subjects.push(subject)
      await subject.ready(network)
    }
    const rounds: (readonly Row[])[] = []
    const isSure = (round: readonly Row[]): boolean => round.every(({ used }) => used >= Number(values.used))
    const wanted = Number(values.rounds)
    // the first fills the caches of all workers and warms their compilers
    for (const subject of subjects) await measure(network, directory, subject, 3 * seconds)
    while (rounds.filter(isSure).length < wanted && rounds.length < attemptsMax * wanted) {
      const round: Row[] = []
      for (const subject of subjects) {
        const row = await measure(network, directory, subject, seconds)
        round.push(row)
        const each = row.shares.map(one => `${Math.round(one * 100)} %`).join(' ')
        console.log(`${subject.count} workers: ${Math.round(row.perSecond)}/s, ${row.cpuMicros.toFixed(2)} µs each, used ${Math.round(row.used * 100)} % of their time (${each}), wrk ${row.wrkCores.toFixed(2)} cores`)
      }
      rounds.push(round)
    }
    const sure = rounds.filter(isSure)
    for (const [i, { count }] of subjects.entries()) {
      if (i === 0) continue
      const times = count / (counts[0] ?? 1)
      const rates = sure.map(round => (round[i]?.perSecond ?? 0) / (round[0]?.perSecond ?? Number.NaN))
      const byCpu = rounds.map(round => (times * (round[0]?.cpuMicros ?? 0)) / (round[i]?.cpuMicros ?? Number.NaN))
      const text = (list: readonly number[]): string => (list.length === 0 ? 'not seen: the machine is busy' : `${median(list).toFixed(2)} (${Math.min(...list).toFixed(2)} to ${Math.max(...list).toFixed(2)}, ${list.length} rounds)`)
      console.log(`${count} / ${counts[0] ?? 0}: ${text(rates)}; by processor time: ${text(byCpu)}`)
    }
  } finally {
    for (const subject of subjects) await subject.stop()
    await network.close()
    rmSync(directory, { recursive: true, force: true })
  }
}

await main()
