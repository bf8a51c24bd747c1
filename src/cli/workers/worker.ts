import { ms, systemClock } from '../../base/index.ts'
import { type ConfWorld, systemWorld } from '../../conf/index.ts'
import { answerPage } from '../../admin/index.ts'
import { Fields } from '../../http/index.ts'
import type { DebugLog } from '../../log/index.ts'
import type { PageAnswer, WorkerAnswer } from '../../manager/index.ts'
import type { Machine } from '../assemble.ts'
import { registerDeeds } from '../control.ts'
import { handedInAt } from '../handed-in.ts'
import { ListenFailed } from '../listening.ts'
import { type LoadedConf, loadConf } from '../load-conf.ts'
import { keepCapabilitiesToMyself } from '../privileges.ts'
import { adopt, openLog, portsText, startMachine, toggleDebug } from '../running.ts'
import { CacheDirRefused } from '../stores.ts'
import { type ConfFiles, noted } from './conf-files.ts'
import { Line } from './line.ts'
import { firstHandedInFd } from './kid-descriptors.ts'
import type { Done, Order, PageReply, RequestForPage, Wish } from './messages.ts'
import { mapChanges } from './changes-file.ts'

// One of several workers: a machine as any other, told by the supervisor what else would be told by signals and the
// control socket. When the supervisor has gone, it ends gently.

const gatherMsMax = ms(10 * 60_000)

const fatalMsMax = ms(5_000)

/** Answers the exit code. */
export const work = async (number: number, count: number): Promise<number> => {
  process.title = `(glassquid-${number})`
  const { promise: ended, resolve: end } = Promise.withResolvers<number>()
  const worker = new Worker(number, count, end)
  const code = await ended
  await worker.close()
  process.disconnect?.()
  return code
}

class Worker {
  readonly #number: number
  readonly #count: number
  readonly #end: (code: number) => void
  readonly #line: Line<Wish, Order>
  #running: Running | null = null
  #stopping = false

  constructor(number: number, count: number, end: (code: number) => void) {
    this.#number = number
    this.#count = count
    this.#end = end
    this.#line = new Line<Wish, Order>(
      {
        send: (message, done) => void process.send?.(message, undefined, undefined, done),
        onMessage: heard => void process.on('message', heard),
        onGone: heard => void process.on('disconnect', heard),
      },
      systemClock,
      order => this.#do(order),
    )
    process.on('disconnect', () => this.#stop(true))
    // the terminal and some service managers send them to all processes: what they mean is the supervisor's to say
    for (const signal of ['SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGINT'] as const) process.on(signal, () => {})
    process.on('SIGTERM', () => this.#stop(true))
  }

  async close(): Promise<void> {
    await this.#running?.log.close()
  }

  async #do(order: Order): Promise<unknown> {
    if (order.kind === 'start') return this.#start(order)
    if (order.kind === 'stop') return this.#stop(order.gently)
    if (order.kind === 'alive') return true
    const running = this.#running
    if (running === null) return null
    switch (order.kind) {
      case 'check':
        return running.check(...this.#load(order.files))
      case 'adopt':
        return running.adopt()
      case 'revert':
        return running.revert()
      case 'rotate':
        running.log.rotate()
        running.machine.rotate()
        return true
      case 'counted':
        return running.machine.manager.legacy()
      case 'debug':
        toggleDebug(running.loaded.config, running.log, running.machine)
        return true
      case 'page':
        return running.ownPage(order.page, order.args)
      case 'request':
        return running.answer(order.request)
    }
  }

  /** With what is wrong with it; remarks the supervisor has made already. */
  #load(files: ConfFiles): readonly [LoadedConf | null, string] {
    const world: ConfWorld = { ...systemWorld(), processNumber: this.#number, processName: `glassquid-${this.#number}` }
    const refusals: string[] = []
    const tell = (text: string) => {
      if (/^(?:FATAL|ERROR)/.test(text)) refusals.push(text.replaceAll('\n', ' |'))
    }
    const loaded = this.#common === null ? null : loadConf(this.#common, tell, noted(world, files))
    return [loaded, refusals.join('; ')]
  }

  #common: Extract<Order, { kind: 'start' }>['common'] | null = null

  async #start(order: Extract<Order, { kind: 'start' }>): Promise<Done> {
    this.#common = order.common
    const [loaded, refusals] = this.#load(order.files)
    if (loaded === null) return { ok: false, said: refusals }
    const handedIn = handedInAt(firstHandedInFd, order.handedIn)
    if (!handedIn.ok) return { ok: false, said: handedIn.reason }
    const log = openLog(loaded.config, order.common, `kid${this.#number}`)
    try {
      const machine = await startMachine(order.common, loaded, log, {
        number: this.#number,
        count: this.#count,
        changes: mapChanges(this.#number, this.#count),
        upBefore: ms(Number(process.hrtime.bigint() - order.upSince) / 1e6),
      }, message => void this.#line.ask({ kind: 'fatal', message }, fatalMsMax), handedIn.sockets)
      keepCapabilitiesToMyself()
      this.#running = new Running(machine, loaded, log)
      this.#share(machine)
      machine.manager.inherited = order.inherited
      return { ok: true, said: `${portsText(machine)}; ${machine.comm.engine} engine` }
    } catch (error) {
      await log.close()
      if (error instanceof ListenFailed || error instanceof CacheDirRefused) return { ok: false, said: error.message }
      return { ok: false, said: error instanceof Error ? (error.stack ?? error.message) : String(error) }
    }
  }

  #share({ manager }: Machine): void {
    manager.others = {
      number: this.#number,
      ask: async (page, args, own) =>
        ((await this.#line.ask({ kind: 'others', page, args: args.toString(), own }, gatherMsMax)) as readonly WorkerAnswer[] | null) ?? [],
    }
    const deed = (name: 'reconfigure' | 'rotate' | 'shutdown') => this.#line.ask({ kind: 'deed', deed: name }, gatherMsMax)
    registerDeeds(manager, {
      reconfigure: async () => ((await deed('reconfigure')) as string | null) ?? 'the supervisor does not answer',
      rotate: () => deed('rotate'),
      shutdown: () => deed('shutdown'),
    })
  }

  /** Gently once; anything else ends it at once. */
  #stop(gently: boolean): void {
    const running = this.#running
    if (running === null) return this.#end(0)
    if (this.#stopping && gently) return // told by the service manager, too
    this.#stopping = true
    void running.machine.stop(gently ? running.loaded.config.shutdown_lifetime : 0).then(() => this.#end(0))
  }
}

class Running {
  readonly machine: Machine
  readonly log: DebugLog
  loaded: LoadedConf
  #checked: LoadedConf | null = null
  #former: LoadedConf | null = null

  constructor(machine: Machine, loaded: LoadedConf, log: DebugLog) {
    this.machine = machine
    this.loaded = loaded
    this.log = log
  }

  check(next: LoadedConf | null, refusals: string): Done {
    this.#checked = next
    return { ok: next !== null, said: refusals }
  }

  async adopt(): Promise<Done> {
    const next = this.#checked
    this.#checked = null
    if (next === null) return { ok: false, said: 'nothing has been checked' }
    this.#former = this.loaded
    return this.#use(next)
  }

  async revert(): Promise<Done> {
    const former = this.#former
    this.#former = null
    return former === null ? { ok: false, said: 'there is no former conf' } : this.#use(former)
  }

  async #use(next: LoadedConf): Promise<Done> {
    const refused = await adopt(this.machine, next, this.log)
    if (refused !== null) return { ok: false, said: refused }
    this.loaded = next
    return { ok: true, said: '' }
  }

  async ownPage(name: string, args: string): Promise<PageAnswer<unknown> | null> {
    return (await this.machine.manager.find(name)?.own(new URLSearchParams(args))) ?? null
  }

  async answer({ method, path, form, accept }: RequestForPage): Promise<PageReply> {
    const fields = Fields.from(accept === '' ? [] : ['Accept', accept])
    return answerPage({ manager: this.machine.manager, passwords: null }, { method, path, form, fields })
  }
}
