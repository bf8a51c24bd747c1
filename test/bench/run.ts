import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { spawnSync } from 'node:child_process'
import { parseArgs } from 'node:util'
import { ms, sleep, systemClock } from '../../src/base/index.ts'
import { openNetwork, type Network, type Running } from '../../src/intercept/index.ts'
import { origin, startOrigin, take, tune, type Way } from './gateway.ts'
import { idleHolder } from './idle.ts'
import { large } from './large.ts'
import { manyWorks, measureMany } from './many.ts'
import { load } from './load.ts'
import { residentBytes } from './measure.ts'
import { rate } from './rate.ts'
import { type Found, type Line, print } from './report.ts'
import { type Subject, subjects, works } from './subjects.ts'
import { type Trial, trials } from './trials.ts'

// npm run bench [-- --only glassquid,squid --works hit,large-hit --rounds 5 --seconds 3]
//
//   client ──80── gateway: REDIRECT or TPROXY to the subject's port ── origin (nginx)
//     core 1          core 0                                             core 1
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
    large: { type: 'string', default: '20' },
    objects: { type: 'string', default: '500000' },
    /** Leaves the network and subjects as they are for so long, to look at them. */
    hold: { type: 'string', default: '0' },
  },
})

const rounds = Number(values.rounds)
const named = (list: string): readonly string[] => (list === '' ? [] : list.split(','))
const wantedWorks = values.works === '' ? works : works.filter(work => named(values.works).includes(work))
const wanted = subjects.filter(subject => values.only === '' || named(values.only).includes(subject.name))

class Bench {
  readonly #network: Network
  readonly #directory: string
  readonly #running = new Map<Subject, Running>()
  #disk: boolean | null = null

  constructor(network: Network, directory: string) {
    this.#network = network
    this.#directory = directory
  }

  async measure(trial: Trial): Promise<Line> {
    await this.#stand(trial.disk)
    const by = new Map<string, Found[]>()
    // round -1 fills caches and warms compilers; nobody's is counted
    for (let round = -1; round < rounds; round++) {
      for (const [subject, running] of this.#running) {
        if (!subject.works.includes(trial.work)) continue
        await this.#take(subject, trial.way)
        const found = await this.#one(trial, running.pid, round < 0)
        if (round >= 0) by.set(subject.name, [...(by.get(subject.name) ?? []), found])
      }
    }
    return { name: trial.name, by }
  }

  /**
   * Private resident memory of a process started for this, after a thousand connections came and went, and with so many
   * more that had one answer each and stay.
   */
  async measureIdle(): Promise<void> {
    console.log(`memory per idle intercepted connection (${values.idle} of them, each has had one answer)`)
    await this.#stand(false)
    for (const [subject, former] of [...this.#running]) {
      if (!subject.works.includes('idle')) continue
      await former.stop()
      const process = await this.#start(subject, false)
      if (process === null) continue
      this.#running.set(subject, process)
      await (await idleHolder(this.#network.client, origin, 1000)).stop()
      await sleep(systemClock, ms(2000))
      const before = residentBytes(process.pid)
      const holder = await idleHolder(this.#network.client, origin, Number(values.idle))
      await sleep(systemClock, ms(3000))
      const after = residentBytes(process.pid)
      console.log(`  ${subject.name.padEnd(10)} ${((after - before) / 1024 / Number(values.idle)).toFixed(2)} KB`)
      await holder.stop()
    }
  }

  async stop(): Promise<void> {
    for (const each of this.#running.values()) await each.stop()
    this.#running.clear()
  }

  async #one({ does }: Trial, pid: number, warming: boolean): Promise<Found> {
    const { client } = this.#network
    if (does.kind === 'large') {
      const count = warming ? 4 : does.large.count
      return { kind: 'large', large: await large(client, { ...does.large, count }, pid) }
    }
    const seconds = warming ? 1 : does.load.seconds
    const found = await load(client, this.#directory, { ...does.load, seconds }, pid)
    if (does.kind === 'load') return { kind: 'load', load: found }
    const perSecond = Math.floor(0.7 * found.perSecond)
    const { connections } = does.load
    return { kind: 'rate', wanted: perSecond, rate: await rate(client, { host: origin, path: does.path, perSecond, seconds, connections }) }
  }

  /** All who are wanted run, with their content in memory or on disk. */
  async #stand(disk: boolean): Promise<void> {
    if (this.#disk === disk) return
    await this.stop()
    this.#disk = disk
    for (const subject of wanted) {
      const started = await this.#start(subject, disk)
      if (started !== null) this.#running.set(subject, started)
    }
  }

  /** Null, said aloud, when it is not installed. */
  async #start(subject: Subject, disk: boolean): Promise<Running | null> {
    if (subject.debian !== null && spawnSync('sh', ['-c', `PATH=$PATH:/usr/sbin command -v ${subject.command}`]).status !== 0) {
      console.log(`NOT MEASURED: ${subject.name} (apt-get install ${subject.debian})`)
      return null
    }
    const own = join(this.#directory, `${subject.name}${disk ? '-disk' : ''}`)
    rmSync(own, { recursive: true, force: true })
    mkdirSync(own, { recursive: true, mode: 0o777 })
    spawnSync('chmod', ['777', own, this.#directory])
    const running = subject.start(this.#network.gateway, own, origin, disk)
    await this.#take(subject, 'redirect')
    await until(() => answers(this.#network), running)
    return running
  }

  #take(subject: Subject, way: Way): Promise<string> {
    return take(this.#network, way, way === 'tproxy' ? (subject.tproxyPort ?? 0) : subject.port)
  }
}

const answers = async (network: Network): Promise<boolean> =>
  (await network.client.run('curl', '-sf', '-m', '2', '-o', '/dev/null', `http://${origin}/1k`)).code === 0

const until = async (ready: () => Promise<boolean>, running: Running): Promise<void> => {
  for (let tries = 0; tries < 100; tries++) {
    if (running.ended) throw new Error(`${running.what} ended:\n${running.said}`)
    if (await ready()) return
    await sleep(systemClock, ms(100))
  }
  throw new Error(`${running.what} is not ready:\n${running.said}`)
}

const main = async (): Promise<void> => {
  const directory = mkdtempSync(join(tmpdir(), 'glassquid-bench-'))
  const network = await openNetwork()
  const bench = new Bench(network, directory)
  try {
    await tune(network)
    await until(() => answers(network), startOrigin(network, directory))
    console.log(`${cpus()[0]?.model}, ${cpus().length} cores; proxy on core 0, load and origin on core 1`)
    console.log(`${rounds} interleaved rounds of ${values.seconds} s, ${values.connections} connections; median (least..most)\n`)
    const options = {
      seconds: Number(values.seconds),
      connections: Number(values.connections),
      sizes: named(values.sizes).map(Number),
      largeCount: Number(values.large),
    }
    for (const trial of trials(options)) if (wantedWorks.includes(trial.work)) print(await bench.measure(trial))
    if (wantedWorks.includes('idle')) await bench.measureIdle()
    await bench.stop()
    const many = { only: named(values.only), rounds, seconds: Number(values.seconds), objects: Number(values.objects) }
    for (const work of manyWorks) {
      if (values.works === '' || named(values.works).includes(work)) await measureMany(network, directory, work, many)
    }
    await sleep(systemClock, ms(1000 * Number(values.hold)))
  } finally {
    await bench.stop()
    await network.close()
    rmSync(directory, { recursive: true, force: true })
  }
}

await main()
