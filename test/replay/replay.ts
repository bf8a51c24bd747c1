import { readFileSync } from 'node:fs'
import { Clients } from './client.ts'
import { IdealCache } from './ideal.ts'
import { wrong } from './oracle.ts'
import { replayOrigin } from './origin.ts'
import type { ReplayProxy } from './proxy.ts'
import { type Asked, trace } from './trace.ts'
import { thing, type Thing, type World } from './world.ts'

// A day of the web against one proxy, over real sockets. Clients ask what the trace says; every answer is held against
// the oracle, byte for byte; what a faultless cache of the same size would have answered by itself is counted beside it.
//
//   trace ──► clients ──► proxy ──► origin           all three know what second of the world it is
//                │                    │
//                └──► oracle, ideal ◄─┘ (how often it was changed)

export interface ReplayOptions {
  readonly seed: number
  readonly objects: number
  readonly requests: number
  /** Clients that ask at once. */
  readonly atOnce: number
  readonly cacheMib: number
}

export interface ReplayReport {
  readonly requests: number
  readonly hits: number
  readonly idealHits: number
  readonly originRequests: number
  readonly bytes: number
  readonly wrong: readonly string[]
  readonly wrongCount: number
  readonly byStatus: Readonly<Record<string, number>>
  /** Private memory of the proxy at each twentieth of the way, in MiB. */
  readonly memoryMib: readonly number[]
  readonly seconds: number
}

/** Of what was wrong only the first are told. */
const toldMax = 20

export const replay = async (proxyFor: ProxyMaker, options: ReplayOptions, say: (text: string) => void): Promise<ReplayReport> => {
  const proxy = await proxyFor(options.cacheMib)
  const world: World = { seed: options.seed, objects: options.objects, day: proxy.daySeconds }
  const origin = await replayOrigin(world, proxy.epochMs, proxy.now)
  const run = new Replay(world, options, proxy, origin, say)
  try {
    return await run.all()
  } finally {
    run.close()
    await proxy.stop()
    await origin.close()
  }
}

export type ProxyMaker = (cacheMib: number) => Promise<ReplayProxy>
type Origin = Awaited<ReturnType<typeof replayOrigin>>

class Replay {
  readonly #world: World
  readonly #options: ReplayOptions
  readonly #proxy: ReplayProxy
  readonly #origin: Origin
  readonly #clients: Clients
  readonly #ideal: IdealCache
  readonly #say: (text: string) => void
  /** Unsafe requests whose answer has come, by object. */
  readonly #committed: Uint32Array
  /** What was seen last of an object. */
  readonly #seen = new Map<number, string>()
  readonly #wrong: string[] = []
  #wrongCount = 0
  #hits = 0
  #bytes = 0
  readonly #byStatus: Record<string, number> = {}
  readonly #memoryMib: number[] = []

  constructor(world: World, options: ReplayOptions, proxy: ReplayProxy, origin: Origin, say: (text: string) => void) {
    this.#world = world
    this.#options = options
    this.#proxy = proxy
    this.#origin = origin
    this.#say = say
    this.#clients = new Clients(proxy.port, origin.port, options.atOnce)
    this.#ideal = new IdealCache(world, options.cacheMib * 1024 * 1024)
    this.#committed = new Uint32Array(options.objects)
  }

  async all(): Promise<ReplayReport> {
    const { seed, objects, requests, atOnce } = this.#options
    const startMs = performance.now()
    const asks = trace(seed, objects, requests)
    let begun = 0
    const worker = async (until: number): Promise<void> => {
      while (begun < until) {
        begun++
        const next = asks.next()
        if (next.done === true) return
        await this.#one(next.value)
      }
    }
    const stops = Math.max(20, this.#proxy.steps(requests))
    for (let stop = 1; stop <= stops; stop++) {
      const until = Math.floor((requests * stop) / stops)
      await Promise.all(Array.from({ length: atOnce }, () => worker(until)))
      await this.#proxy.passed(until / requests)
      if (Math.floor((20 * stop) / stops) > this.#memoryMib.length) this.#progress(until)
    }
    return {
      requests,
      hits: this.#hits,
      idealHits: this.#ideal.hits,
      originRequests: this.#origin.requests,
      bytes: this.#bytes,
      wrong: this.#wrong,
      wrongCount: this.#wrongCount,
      byStatus: this.#byStatus,
      memoryMib: this.#memoryMib,
      seconds: (performance.now() - startMs) / 1000,
    }
  }

  close(): void {
    this.#clients.close()
  }

  async #one(asked: Asked): Promise<void> {
    const { now, slack } = this.#proxy
    const of = thing(this.#world, asked.object)
    const seen = asked.conditional ? this.#seen.get(of.id) : undefined
    const condition = asked.method === 'GET' ? seen : undefined
    const changesBefore = this.#committed[of.id] ?? 0
    const from = now()
    this.#ideal.ask(of, asked, Math.floor(from), this.#origin.changes[of.id] ?? 0, versionIn(condition))
    const reply = await this.#clients.ask(of.path, asked, condition).catch((error: Error) => error)
    const around = { from, to: now(), slack, changesBefore, changesAfter: this.#origin.changes[of.id] ?? 0, condition }
    if (reply instanceof Error) return this.#fault(of, asked, `no answer: ${reply.message}`)
    const fault = wrong(this.#world, of, asked, reply, around)
    if (fault !== null) this.#fault(of, asked, `${fault} (${reply.hit ? 'hit' : 'not a hit'}, age ${reply.age}, at ${from.toFixed(1)})`)
    if (asked.method === 'POST' && reply.status === 204) this.#committed[of.id] = around.changesAfter
    if (reply.hit) this.#hits++
    this.#bytes += reply.content.length
    this.#byStatus[reply.status] = (this.#byStatus[reply.status] ?? 0) + 1
    if (reply.etag !== undefined) this.#seen.set(of.id, reply.etag)
  }

  #fault(of: Thing, asked: Asked, what: string): void {
    if (this.#wrongCount++ < toldMax) this.#wrong.push(`${asked.method} ${of.path}: ${what}`)
  }

  #progress(done: number): void {
    this.#memoryMib.push(privateMib(this.#proxy.pid))
    this.#say(
      `${done} requests, ${((100 * this.#hits) / done).toFixed(2)} % hits (ideal ${((100 * this.#ideal.hits) / done).toFixed(2)} %), ` +
        `${this.#wrongCount} wrong, memory ${this.#memoryMib.at(-1)?.toFixed(0)} MiB`,
    )
  }
}

const versionIn = (condition: string | undefined): string | null => condition?.split('-')[1] ?? null

const privateMib = (pid: number): number =>
  Number(/^RssAnon:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? 0) / 1024
