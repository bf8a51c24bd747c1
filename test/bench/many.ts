import { spawnSync } from 'node:child_process'
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { ms, sleep, systemClock } from '../../src/base/index.ts'
import type { Network, Running } from '../../src/intercept/index.ts'
import { origin, take } from './gateway.ts'
import { cpuSeconds, median, residentBytes } from './measure.ts'
import { type Percentiles, rate } from './rate.ts'
import { on, root, write } from './subjects.ts'

// Caches with many objects in them, each of which the others' trials have but a few of:
//
//   objects    resident memory per cached object of 1 KB, all in memory
//   disk-hit   hits of 16 KB over so many objects that hardly any is in the proxy's memory (they are in the system's)
//   removal    latency of hits in memory at a steady rate, while nothing is stored, while a store that has room takes
//              objects in, and while a full one removes one for each it takes
//
// Squid is measured with each way it has of laying out a disk.

export const manyWorks = ['objects', 'disk-hit', 'removal'] as const
export type ManyWork = (typeof manyWorks)[number]

export interface ManyOptions {
  readonly only: readonly string[]
  readonly rounds: number
  readonly seconds: number
  readonly objects: number
}

interface Keeper {
  readonly name: string
  readonly port: number
  readonly debian: string | null
  /** `dir`: its cache_dir; null = memory alone. */
  start(network: Network, directory: string, memoryMb: number, dir: string | null): Running
}

const glassquid: Keeper = {
  name: 'glassquid',
  port: 3101,
  debian: null,
  start: ({ gateway }, directory, memoryMb, dir) => {
    const conf = `http_port 3101 intercept
acl all src all
http_access allow all
${dir === null ? '' : `cache_dir ufs ${join(directory, 'cache')} ${dir}`}
cache_mem ${memoryMb} MB
access_log none
cache_log ${join(directory, 'glassquid.log')}
pid_filename none
visible_hostname bench
`
    return on(gateway, join(root, 'bin/glassquid'), '-f', write(directory, 'glassquid.conf', conf))
  },
}

const squid = (name: string, port: number, type: string, options: string): Keeper => ({
  name,
  port,
  debian: 'squid',
  start: ({ gateway }, directory, memoryMb, dir) => {
    const conf = `http_port ${port} intercept
http_port ${port + 1}
http_access allow all
${dir === null ? '' : `cache_dir ${type} ${join(directory, 'cache')} ${dir} ${options}`}
cache_mem ${memoryMb} MB
memory_cache_shared off
access_log none
cache_log ${join(directory, 'squid.log')}
cache_store_log none
pid_filename none
coredump_dir ${directory}
visible_hostname bench
pinger_enable off
netdb_filename none
shutdown_lifetime 0 seconds
`
    const run = `if [ "$1" = true ]; then squid -N -z -n ${name.replace('-', '')} -f "$0" >/dev/null 2>&1; fi; exec squid -N -n ${name.replace('-', '')} -f "$0"`
    return on(gateway, 'sh', '-c', run, write(directory, 'squid.conf', conf), String(dir !== null))
  },
})

const keepers: readonly Keeper[] = [
  glassquid,
  squid('squid', 3121, 'aufs', '16 256'),
  squid('squid-ufs', 3125, 'ufs', '16 256'),
  // an object and its head in one slot
  squid('squid-rock', 3127, 'rock', 'slot-size=32768'),
]

export const measureMany = async (network: Network, directory: string, work: ManyWork, options: ManyOptions): Promise<void> => {
  const all = keepers.filter(keeper => options.only.length === 0 || options.only.includes(keeper.name))
  const installed = all.filter(keeper => {
    if (keeper.debian === null || spawnSync('sh', ['-c', `PATH=$PATH:/usr/sbin command -v ${keeper.debian}`]).status === 0) return true
    console.log(`NOT MEASURED: ${keeper.name} (apt-get install ${keeper.debian})`)
    return false
  })
  if (work === 'objects') await measureObjects(network, directory, installed.filter(({ name }) => !name.startsWith('squid-')), options)
  if (work === 'disk-hit') await measureDiskHits(network, directory, installed, options)
  if (work === 'removal') await measureRemoval(network, directory, installed.filter(({ name }) => name !== 'squid-ufs'), options)
}

/** Runs it while `use` does, with folders of its own. */
const withKeeper = async <T>(
  network: Network,
  directory: string,
  keeper: Keeper,
  memoryMb: number,
  dir: string | null,
  use: (running: Running) => Promise<T>,
): Promise<T> => {
  const own = join(directory, keeper.name)
  rmSync(own, { recursive: true, force: true })
  mkdirSync(join(own, 'cache'), { recursive: true })
  spawnSync('chmod', ['777', own, join(own, 'cache'), directory])
  const running = keeper.start(network, own, memoryMb, dir)
  try {
    await take(network, 'redirect', keeper.port)
    for (let tries = 0; (await curl(network, '/1k')).code !== 0; tries++) {
      if (running.ended || tries > 100) throw new Error(`${running.what} is not ready:\n${running.said}`)
      await sleep(systemClock, ms(100))
    }
    return await use(running)
  } finally {
    await running.stop()
    rmSync(own, { recursive: true, force: true })
  }
}

const curl = (network: Network, path: string): Promise<{ readonly code: number | null; readonly stdout: string }> =>
  network.client.run('curl', '-sf', '-m', '5', '-o', '/dev/null', '-D', '-', `http://${origin}${path}`)

/** Any of the paths PREFIX0 … PREFIXcount, at random. */
const randomScript = `
local prefix, count = "", 0
function init(args)
  prefix, count = args[1], tonumber(args[2])
  math.randomseed(4711)
end
function request() return wrk.format("GET", prefix .. math.random(0, count - 1)) end
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d\\n", summary.requests, summary.duration, e.connect + e.read + e.write + e.timeout + e.status))
end
`

interface Random {
  readonly prefix: string
  readonly count: number
  readonly seconds: number
}

const askAtRandom = async (network: Network, directory: string, what: Random): Promise<{ readonly requests: number; readonly perSecond: number }> => {
  const script = write(directory, 'random.lua', randomScript)
  const ran = await network.client.runWith(
    { deadlineMs: (what.seconds + 30) * 1000 },
    'taskset', '-c', '1', 'wrk', '-t1', '-c50', `-d${what.seconds}s`, '-s', script, `http://${origin}`, '--', what.prefix, String(what.count),
  )
  const found = /RESULT (\d+) (\d+) (\d+)/.exec(ran.stdout)
  const [, requests = 0, micros = 1, failures = 0] = (found ?? []).map(Number)
  if (found === null || failures > 0) throw new Error(`wrk: ${ran.stdout}${ran.stderr}`)
  return { requests, perSecond: requests / (micros / 1e6) }
}

interface Fill {
  readonly prefix: string
  readonly count: number
  readonly perSecond?: number
  readonly seconds?: number
}

/** Each of them once; answers how many there were. */
const fill = async (network: Network, { prefix, count, perSecond = 0, seconds = 600 }: Fill): Promise<number> => {
  const ran = await network.client.runWith(
    { deadlineMs: (seconds + 30) * 1000 },
    'taskset', '-c', '1', join(root, 'bin/nodex'), join(root, 'test/bench/fill-program.ts'),
    origin, prefix, String(count), '50', String(perSecond), String(seconds),
  )
  const [, answered = 0, wrong = 0] = (/FILLED (\d+) (\d+)/.exec(ran.stdout) ?? []).map(Number)
  if (answered === 0 || wrong > 0) throw new Error(`fill: ${ran.stdout}${ran.stderr}`)
  return answered
}

/** Some of them, spread over all: how many come from the cache. */
const hitsAmong = async (network: Network, prefix: string, count: number): Promise<number> => {
  let hits = 0
  for (let i = 0; i < 20; i++) {
    const { stdout } = await curl(network, `${prefix}${Math.floor(((i + 0.5) * count) / 20)}`)
    if (/^Age: /m.test(stdout)) hits++
  }
  return hits
}

const measureObjects = async (network: Network, directory: string, all: readonly Keeper[], options: ManyOptions): Promise<void> => {
  console.log(`memory per cached object of 1 KB (${options.objects} of them)`)
  for (const keeper of all) {
    await withKeeper(network, directory, keeper, 8192, null, async running => {
      const warm = 20_000
      await fill(network, { prefix: '/many/1k/warm-', count: warm })
      await sleep(systemClock, ms(3000))
      const before = residentBytes(running.pid)
      await fill(network, { prefix: '/many/1k/', count: options.objects })
      await sleep(systemClock, ms(3000))
      const each = (residentBytes(running.pid) - before) / options.objects
      const hits = await hitsAmong(network, '/many/1k/', options.objects)
      console.log(`  ${keeper.name.padEnd(10)} ${(each / 1024).toFixed(2)} KB each; of 20 asked for again ${hits} were hits`)
    })
  }
}

const diskObjects = 20_000

const measureDiskHits = async (network: Network, directory: string, all: readonly Keeper[], options: ManyOptions): Promise<void> => {
  console.log(`disk hit 16 KB, any of ${diskObjects} objects, 8 MB of memory for them`)
  const rates = new Map<string, number[]>()
  const perRequest = new Map<string, number[]>()
  // each has the core to itself, filled anew for each round: they are too large to stand side by side
  for (let round = 0; round < options.rounds; round++) {
    for (const keeper of all) {
      await withKeeper(network, directory, keeper, 8, '2000', async running => {
        const prefix = '/many/16k/'
        await fill(network, { prefix, count: diskObjects })
        await sleep(systemClock, ms(2000))
        const hits = await hitsAmong(network, prefix, diskObjects)
        if (hits < 18) console.log(`  ${keeper.name}: only ${hits} of 20 are hits`)
        const random = { prefix, count: diskObjects }
        await askAtRandom(network, directory, { ...random, seconds: 2 })
        const before = cpuSeconds(running.pid)
        const { requests, perSecond } = await askAtRandom(network, directory, { ...random, seconds: options.seconds })
        const cpu = (cpuSeconds(running.pid) - before) / requests
        rates.set(keeper.name, [...(rates.get(keeper.name) ?? []), perSecond])
        perRequest.set(keeper.name, [...(perRequest.get(keeper.name) ?? []), cpu * 1e6])
      })
    }
  }
  const squids = all.filter(({ debian }) => debian === 'squid').map(({ name }) => median(rates.get(name) ?? []))
  for (const { name } of all) {
    const rate = median(rates.get(name) ?? [])
    console.log(
      `  ${name.padEnd(10)} ${rate.toFixed(0).padStart(7)}/s  cpu ${median(perRequest.get(name) ?? []).toFixed(1)} us/request` +
        (squids.length > 0 ? `  x the best squid ${(rate / Math.max(...squids)).toFixed(2)}` : ''),
    )
  }
}

const measureRemoval = async (network: Network, directory: string, all: readonly Keeper[], options: ManyOptions): Promise<void> => {
  const storesPerSecond = 1000
  console.log(`latency of hits in memory at 2000/s while the disk store works (${storesPerSecond} new objects of 16 KB a second), ms; median of rounds`)
  const found = new Map<string, Percentiles[]>()
  const hits = { host: origin, path: '/1k', perSecond: 2000, seconds: options.seconds, connections: 50 }
  for (let round = 0; round < options.rounds; round++) {
    for (const keeper of all) {
      await withKeeper(network, directory, keeper, 64, '200', async () => {
        const measured = async (phase: string, prefix: string | null): Promise<void> => {
          const stores = prefix === null ? null : fill(network, { prefix, count: 1e9, perSecond: storesPerSecond, seconds: options.seconds + 1 })
          const [{ sent }] = await Promise.all([rate(network.client, hits), stores])
          const key = `${keeper.name.padEnd(10)} ${phase.padEnd(9)}`
          found.set(key, [...(found.get(key) ?? []), sent])
        }
        // a proxy runs for months: what it does for the first time is not what is asked about
        await Promise.all([rate(network.client, { ...hits, seconds: 2 }), fill(network, { prefix: '/many/16k/warm-', count: 1e9, perSecond: storesPerSecond, seconds: 2 })])
        await measured('at rest', null)
        await measured('storing', '/many/16k/first-')
        await fill(network, { prefix: '/many/16k/full-', count: 14_000 })
        await measured('removing', '/many/16k/second-')
      })
    }
  }
  const of = (rounds: readonly Percentiles[], which: keyof Percentiles): string => {
    const values = rounds.map(one => one[which])
    return `${median(values).toFixed(2)} (${Math.min(...values).toFixed(2)}..${Math.max(...values).toFixed(2)})`
  }
  for (const [key, rounds] of [...found].sort()) console.log(`  ${key} p50 ${of(rounds, 'p50')}  p99 ${of(rounds, 'p99')}  p99.9 ${of(rounds, 'p999')}`)
}
