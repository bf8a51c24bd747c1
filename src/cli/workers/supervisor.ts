import { closeSync } from 'node:fs'
import type { HandedIn } from '../../../comm/index.ts'
import { type AdminAnswer, type AdminRequest, refusedAnswer } from '../../admin/index.ts'
import { type Clock, type DurationMs, ms, systemClock, type Timer } from '../../base/index.ts'
import { type Config, systemWorld } from '../../conf/index.ts'
import type { DebugLog } from '../../log/index.ts'
import type { PageAnswer, WorkerAnswer } from '../../manager/index.ts'
import type { Common } from '../command/command.ts'
import { AdminDoor } from '../admin-door.ts'
import type { ControlAnswerer } from '../control.ts'
import { logDifference, warnOfRestart } from '../conf-diff.ts'
import { type LoadedConf, readConf, RefusalWords } from '../load-conf.ts'
import { configureLog, outliveBugs, toggleDebug } from '../running.ts'
import type { ServiceManager } from '../service-manager.ts'
import { listenToSignals } from '../signals.ts'
import { version } from '../version.ts'
import { openChangesFile } from './changes-file.ts'
import { type ConfFiles, noting } from './conf-files.ts'
import { Kid } from './kid.ts'
import { Legacies } from './legacies.ts'
import type { Done, Order, PageReply, Wish } from './messages.ts'
import { Revival } from './revival.ts'

// The process over the workers. It has the pid file, the signals and the control socket, and serves nobody. Every worker
// listens for itself (SO_REUSEPORT: the kernel shares connections out); none knows the others but through this.
//
//   signal, -k, control socket ─► supervisor ─┬─► kid1   check · adopt · revert · rotate · page · stop
//                                             ├─► kid2
//                     died ─► again, later ◄──┴─► kid3
//
// A reload is all or nothing: every worker compiles the new conf before any uses it, and if one cannot (a port), those
// that could go back.

/** Answers the exit code. */
export const supervise = async (
  common: Common,
  loaded: LoadedConf,
  log: DebugLog,
  use: (by: ControlAnswerer) => void,
  systemd: ServiceManager,
  handedIn: readonly HandedIn[],
): Promise<number> => {
  outliveBugs(log)
  log.write('main', 1, `Starting glassquid ${version} (Node ${process.versions.node}), process ${process.pid}, conf ${common.confFile}, ${loaded.config.workers} workers`)
  const changesFd = openChangesFile(loaded.config.workers, text => log.warning('main', text))
  const supervisor = new Supervisor({ common, config: loaded.config, log, clock: systemClock, changesFd, systemd, handedIn })
  use(request => supervisor.answer(request))
  try {
    return await supervisor.run()
  } finally {
    if (changesFd >= 0) closeSync(changesFd)
  }
}

interface Parts {
  readonly common: Common
  readonly config: Config
  readonly log: DebugLog
  readonly clock: Clock
  readonly changesFd: number
  readonly systemd: ServiceManager
  /** All workers accept from the same sockets. */
  readonly handedIn: readonly HandedIn[]
}

/** Compiling a conf with a million domains takes seconds. */
const confMsMax = ms(120_000)
const pageMsMax = ms(5_000)
/** Who asks for a page is told after so long that a worker hangs: before whoever watches us gives up (admin_port: 5 s). */
const aliveMsMax = ms(1_500)
/** A purge walks through all that is stored. */
const deedMsMax = ms(10 * 60_000)
const rotateMsMax = ms(10_000)
/** After shutdown_lifetime a worker still has this long for its logs and its index. */
const lastWordsMs = 10_000

class Supervisor {
  readonly #parts: Parts
  readonly #log: DebugLog
  readonly #count: number
  /** By number, from 1; null: it has died and is waited with. */
  readonly #kids: (Kid | null)[]
  readonly #revivals: Revival[]
  readonly #waiting = new Map<number, Timer>()
  readonly #legacies: Legacies
  #config: Config
  /** Of the conf in force. */
  readonly #door: AdminDoor
  #files: ConfFiles = { texts: new Map(), globs: new Map() }
  readonly #upSince = process.hrtime.bigint()
  #stopping = false
  #gaveUp = false
  #allEnded: () => void = () => {}
  /** Reloads and rotations, one after the other. */
  #queue: Promise<unknown> = Promise.resolve()

  constructor(parts: Parts) {
    this.#parts = parts
    this.#log = parts.log
    this.#config = parts.config
    this.#door = new AdminDoor(request => this.answer(request), parts.log)
    this.#count = parts.config.workers
    this.#kids = Array.from({ length: this.#count }, () => null)
    this.#legacies = new Legacies(parts.clock, () => this.#living())
    this.#revivals = Array.from({ length: this.#count }, () => new Revival(parts.clock.mono()))
  }

  async run(): Promise<number> {
    const log = this.#log
    const files = this.#read(() => {})
    if (files.config === null) return this.#fatal('the conf has just become another, which is refused')
    this.#files = files.files
    const ended = new Promise<void>(resolve => {
      this.#allEnded = resolve
    })
    const stopListening = listenToSignals({
      reconfigure: () => void this.#reconfigure(),
      rotate: () => void this.#rotate(),
      debug: () => {
        toggleDebug(this.#config, log, null)
        for (const kid of this.#living()) void kid.ask({ kind: 'debug' }, pageMsMax)
      },
      shutdown: () => this.#stop(true),
      interrupt: () => this.#stop(false),
    })
    try {
      const said = await this.#startAll()
      if (!said.ok && !this.#stopping) {
        this.#stop(false)
        await ended
        return this.#fatal(said.said)
      }
      await this.#door.use(this.#config)
      if (!this.#stopping) {
        const line = `ready: ${said.said}, ${this.#count} workers, process ${process.pid}`
        this.#parts.systemd.ready(line)
        process.stdout.write(`${line}\n`)
        log.write('main', 1, line)
      }
      this.#legacies.begin()
      await ended
      await this.#door.close()
      log.write('main', 1, `glassquid ${version} ends`)
      return this.#gaveUp ? 1 : 0
    } finally {
      stopListening()
      this.#legacies.stop()
    }
  }

  #fatal(why: string): number {
    process.stderr.write(`FATAL: ${why}\n`)
    this.#log.write('main', 0, `FATAL: ${why}`)
    return 1
  }

  /** The first one alone: what is wrong with all of them is said once. */
  async #startAll(): Promise<Done> {
    const first = await this.#startOne(1)
    if (!first.ok) return first
    const others = await Promise.all(this.#kids.slice(1).map((_, i) => this.#startOne(i + 2)))
    return others.find(({ ok }) => !ok) ?? first
  }

  #startOne(number: number): Promise<Done> {
    const { clock, changesFd, common, handedIn } = this.#parts
    const kid = new Kid(number, {
      clock, changesFd,
      handedInFds: handedIn.map(({ fd }) => fd),
      count: this.#count,
      answer: (from, wish) => this.#granted(from, wish),
      ended: (dead, how) => this.#died(dead, how),
      hangs: hanging => this.#hangs(hanging),
    })
    this.#kids[number - 1] = kid
    this.#revival(number).born(clock.mono())
    return kid.start({ kind: 'start', common, files: this.#files, handedIn: handedIn.map(({ name }) => name), inherited: this.#legacies.of(number), upSince: this.#upSince }).then(done => {
      if (done.ok) {
        kid.watch(this.#config.hung_worker_timeout)
        void this.#legacies.report(kid, pageMsMax)
      }
      return done
    })
  }

  #revival(number: number): Revival {
    const revival = this.#revivals[number - 1]
    if (revival === undefined) throw new RangeError(`there is no worker ${number}`)
    return revival
  }

  #living(): Kid[] {
    return this.#kids.filter(kid => kid !== null).filter(kid => kid.ready)
  }

  // ---- who dies

  #died(kid: Kid, how: string): void {
    this.#kids[kid.number - 1] = null
    if (this.#stopping) {
      if (this.#kids.every(one => one === null)) this.#allEnded()
      return
    }
    const { inARow, wait } = this.#revival(kid.number).died(this.#parts.clock.mono())
    const seconds = Math.round(wait / 1000)
    const when = wait === 0 ? 'at once' : `in ${seconds} second${seconds === 1 ? '' : 's'}`
    const often = inARow < 3 ? '' : ` (${inARow} times in a row: look above for why)`
    this.#log.error('main', `worker kid${kid.number}, process ${kid.pid}, ${how}${often}; it is started again ${when}; ${this.#living().length} of ${this.#count} go on`)
    const timer = this.#parts.clock.after(wait, () => {
      this.#waiting.delete(kid.number)
      void this.#revive(kid.number)
    })
    this.#waiting.set(kid.number, timer)
  }

  #hangs(kid: Kid): void {
    if (this.#stopping) return // the end has its own patience
    const seconds = Math.round(this.#config.hung_worker_timeout / 1000)
    this.#log.error('main', `worker kid${kid.number}, process ${kid.pid}, has not answered for ${seconds} seconds: it hangs and is killed`)
    kid.abort()
  }

  async #revive(number: number): Promise<void> {
    const files = this.#files
    const started = await this.#startOne(number)
    const kid = this.#kids[number - 1] ?? null
    if (this.#stopping || kid === null) return
    if (!started.ok) {
      this.#log.error('main', `worker kid${number} cannot start: ${started.said}`)
      return kid.kill() // and then it has died
    }
    this.#log.write('main', 1, `worker kid${number} runs again, process ${kid.pid}`)
    // a reload that was under way has gone without it
    this.#queue = this.#queue.then(async () => {
      if (files === this.#files) return
      await this.#tell(kid, { kind: 'check', files: this.#files }, confMsMax)
      await this.#tell(kid, { kind: 'adopt' }, confMsMax)
    })
  }

  // ---- the conf

  /** `config` null: it is refused. */
  #read(tell: (text: string) => void): { readonly files: ConfFiles; readonly config: Config | null; readonly draft: Config | null } {
    const { world, files } = noting(systemWorld())
    const { loaded, draft } = readConf({ ...this.#parts.common, places: true }, tell, world)
    return { files, config: loaded?.config ?? null, draft }
  }

  /** '' = done; otherwise why not. */
  #reconfigure(): Promise<string> {
    const { systemd } = this.#parts
    const done = this.#queue.then(() => {
      systemd.reloading()
      return this.#reload()
    })
    this.#queue = done.then(() => systemd.ready(`${this.#count} workers`))
    return done
  }

  async #reload(): Promise<string> {
    const log = this.#log
    log.write('conf', 1, `Reconfiguring from ${this.#parts.common.confFile}`)
    const refusals = new RefusalWords()
    const { files, config, draft } = this.#read(text => {
      refusals.note(text)
      log.write('conf', 1, text.replaceAll('\n', ' |'))
    })
    if (config === null) {
      this.#keepsConf('the new conf was refused', draft)
      return refusals.text
    }
    const kids = this.#living()
    const checked = await Promise.all(kids.map(kid => this.#tell(kid, { kind: 'check', files }, confMsMax)))
    const unfit = checked.findIndex(({ ok }) => !ok)
    if (unfit >= 0) return this.#keepsConf(`kid${kids[unfit]?.number ?? 0} refused the new conf: ${checked[unfit]?.said ?? ''}`, config)
    const adopted: Kid[] = []
    for (const kid of kids) {
      const done = await this.#tell(kid, { kind: 'adopt' }, confMsMax)
      if (kid.over) continue // its successor reads what is in force by then
      if (done.ok) {
        adopted.push(kid)
        continue
      }
      for (const before of adopted) await this.#tell(before, { kind: 'revert' }, confMsMax)
      return this.#keepsConf(`kid${kid.number}: ${done.said}`, config)
    }
    logDifference(log, 'Reconfiguring', this.#config, config)
    warnOfRestart(log, this.#parts.config, config)
    this.#files = files
    this.#config = config
    configureLog(log, config)
    for (const kid of this.#living()) kid.watch(config.hung_worker_timeout)
    await this.#door.use(config)
    log.write('conf', 1, `Reconfigured ${adopted.length} workers`)
    return ''
  }

  #keepsConf(why: string, refused: Config | null): string {
    logDifference(this.#log, 'Refused', this.#config, refused)
    this.#log.error('conf', `${why}: the former one stays in force`)
    return why
  }

  async #tell(kid: Kid, order: Order, patience: DurationMs): Promise<Done> {
    return ((await kid.ask(order, patience)) as Done | null) ?? { ok: false, said: 'it does not answer' }
  }

  // ---- logs

  /** One after the other: who comes first renames the file, the next find that it has been done and open it anew. */
  #rotate(): Promise<void> {
    const done = this.#queue.then(async () => {
      this.#log.rotate()
      for (const kid of this.#living()) await kid.ask({ kind: 'rotate' }, rotateMsMax)
      this.#log.write('main', 1, 'logs rotated')
    })
    this.#queue = done
    return done
  }

  // ---- pages and wishes

  /** A request by the control socket: any worker answers for all. */
  async answer(request: AdminRequest): Promise<AdminAnswer> {
    const { method, path, form, fields } = request
    const asked = { method, path, form, accept: fields.joined('accept') ?? '' }
    for (const kid of this.#living()) {
      if (!(await kid.answers(aliveMsMax))) continue
      const reply = (await kid.ask({ kind: 'request', request: asked }, deedMsMax)) as PageReply | null
      if (reply !== null) return { status: reply.status, pairs: reply.pairs, content: Buffer.from(reply.content) }
      if (method !== 'GET' && method !== 'HEAD') break // it may have been done in part
    }
    return refusedAnswer(503, 'no worker answers; cache.log says why')
  }

  async #granted(from: Kid, wish: Wish): Promise<unknown> {
    if (wish.kind === 'fatal') return this.#giveUp(wish.message)
    if (wish.kind === 'others') return this.#askOthers(from, wish)
    switch (wish.deed) {
      case 'reconfigure':
        return this.#reconfigure()
      case 'rotate':
        await this.#rotate()
        return true
      case 'shutdown':
        process.kill(process.pid, 'SIGTERM')
        return true
    }
  }

  /** Those that are just being started have nothing to say yet but what those before them have counted. */
  #askOthers(from: Kid, { page, args, own }: Extract<Wish, { kind: 'others' }>): Promise<readonly WorkerAnswer[]> {
    if (own !== null) this.#legacies.keep(from.number, own)
    // what is purged is not served by one that hangs now and goes on later
    const must = page === 'purge'
    const answerOf = async (kid: Kid): Promise<PageAnswer<unknown> | null> => {
      if (!must && !(await kid.answers(aliveMsMax))) return null
      return (await kid.ask({ kind: 'page', page, args }, must ? deedMsMax : pageMsMax)) as PageAnswer<unknown> | null
    }
    const saidBy = async (worker: number): Promise<WorkerAnswer> => {
      const kid = this.#kids[worker - 1] ?? null
      const answer = kid?.ready === true ? await answerOf(kid) : null
      // what was told of one page is not less on another
      if (own !== null && kid !== null && answer?.ok === true) {
        this.#legacies.keep(worker, { [page]: answer.value })
        await this.#legacies.report(kid, aliveMsMax)
      }
      return { worker, answer, gone: kid?.ready !== true, last: this.#legacies.of(worker)[page] }
    }
    return Promise.all(this.#kids.map((_, i) => i + 1).filter(number => number !== from.number).map(saidBy))
  }

  // ---- the end

  #giveUp(why: string): void {
    if (this.#gaveUp) return
    this.#gaveUp = true
    this.#fatal(why)
    this.#stop(true)
  }

  /** A second wish is not gentle any more. */
  #stop(gently: boolean): void {
    const graceMs = gently ? this.#config.shutdown_lifetime : 0
    this.#log.write('main', 1, gently ? `Preparing for shutdown: open transactions have ${Math.round(graceMs / 1000)} seconds` : 'Stopping at once')
    this.#stopping = true
    this.#parts.systemd.stopping()
    for (const timer of this.#waiting.values()) timer.cancel()
    const kids = this.#kids.filter(kid => kid !== null)
    if (kids.length === 0) return this.#allEnded()
    for (const kid of kids) void kid.ask({ kind: 'stop', gently }, pageMsMax)
    const enough = () => {
      for (const kid of kids) {
        if (!kid.over) this.#log.warning('main', `worker kid${kid.number}, process ${kid.pid}, does not end: it is killed`)
        kid.kill()
      }
    }
    this.#parts.clock.after(ms(graceMs + lastWordsMs), enough, { unref: true }) // living workers keep this process
  }
}
