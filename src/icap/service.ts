import type { CloseReason, Connection, ConnectionReader } from '../../comm/connection.ts'
import { type Clock, type DurationMs, elapsed, type IcapRecord, ms, type MonoMs, type Outcome } from '../base/index.ts'
import type { Fields } from '../http/index.ts'
import { CountIcap } from './counters.ts'
import { type IcapHead, ReplyReader } from './message.ts'

// A service: what it says of itself (OPTIONS, asked again when they are too old), whether it works, and the connections
// to it that are kept.
//
//   ready? ─► OPTIONS fresh ─► connection: idle one, or a new one
//               └─ old or none ─► asked, one question for all who wait
//   failures more than icap_service_failure_limit ─► rests for icap_service_revival_delay, then OPTIONS again

export interface IcapServiceConfig {
  readonly name: string
  readonly vector: 'reqmod' | 'respmod'
  /** As the conf has it. */
  readonly uri: string
  readonly host: string
  readonly port: number
  readonly bypass: boolean
  /** Null = as many as the service says, or any number. */
  readonly connectionsMax: number | null
  readonly onOverload: 'block' | 'bypass' | 'wait' | 'force'
}

export interface IcapSettings {
  readonly previewEnabled: boolean
  /** -1 = what the service asks for. */
  readonly previewBytes: number
  readonly failuresMax: number
  /** 0 = for ever. */
  readonly failureWindow: DurationMs
  readonly revivalDelay: DurationMs
  readonly optionsTtl: DurationMs
  readonly persistent: boolean
  /** pconn_lifetime: an older connection is not kept. */
  readonly keptAgeMax: DurationMs
  readonly connectTimeout: DurationMs
  readonly ioTimeout: DurationMs
}

/** Rejects with an Error that says why. */
export type Dial = (host: string, port: number, timeout: DurationMs) => Promise<Connection>

export interface IcapOptions {
  /** -1 = none is wanted. */
  readonly previewBytes: number
  readonly allow204: boolean
  readonly tag: string
  readonly connectionsMax: number
  /** Extensions of paths that are not to be shown to it. */
  readonly ignored: ReadonlySet<string>
  readonly until: MonoMs
}

/** Connections that nobody uses, per service. */
const idleMax = 32
const waitingMax = 1024

export class Icap {
  readonly clock: Clock
  readonly dial: Dial
  readonly warn: (text: string) => void
  settings: IcapSettings
  /** Told of each transaction with a service, and for whom it was; null: OPTIONS. */
  ended: (record: IcapRecord, outcome: Outcome | null) => void = () => {}
  #services = new Map<string, Service>()

  constructor(clock: Clock, dial: Dial, warn: (text: string) => void, settings: IcapSettings) {
    this.clock = clock
    this.dial = dial
    this.warn = warn
    this.settings = settings
  }

  /** The living service of a line of the conf; it outlives reloads that do not change the line. */
  service(config: IcapServiceConfig): Service {
    const key = JSON.stringify(config)
    let service = this.#services.get(key)
    if (service === undefined) {
      service = new Service(config, this)
      this.#services.set(key, service)
    }
    return service
  }

  /** Those of other lines are forgotten; what is under way with them ends. */
  use(settings: IcapSettings, configs: readonly IcapServiceConfig[]): void {
    this.settings = settings
    const keys = new Set(configs.map(config => JSON.stringify(config)))
    for (const [key, service] of this.#services) {
      if (keys.has(key)) continue
      service.close()
      this.#services.delete(key)
    }
  }

  close(): void {
    for (const service of this.#services.values()) service.close()
    this.#services.clear()
  }
}

export class Service {
  readonly config: IcapServiceConfig
  readonly icap: Icap
  options: IcapOptions | null = null
  #asking: Promise<IcapOptions> | null = null
  readonly #idle: Connection[] = []
  readonly #bornAt = new WeakMap<Connection, MonoMs>()
  #open = 0
  readonly #waiting: (() => void)[] = []
  #failures: MonoMs[] = []
  #restsUntil = 0
  #closed = false

  constructor(config: IcapServiceConfig, icap: Icap) {
    this.config = config
    this.icap = icap
  }

  get name(): string {
    return this.config.name
  }

  /** False: it failed too often lately. */
  get up(): boolean {
    return this.icap.clock.mono() >= this.#restsUntil
  }

  /** Its OPTIONS, not too old. Rejects with an Error. */
  ready(): Promise<IcapOptions> {
    const now = this.icap.clock.mono()
    if (this.options !== null && now < this.options.until) return Promise.resolve(this.options)
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = null
    })
    return this.#asking
  }

  async #ask(): Promise<IcapOptions> {
    this.options = null
    const began = this.icap.clock.mono()
    const connection = await this.connection()
    const [sent, received] = [connection.bytesWritten, connection.bytesRead]
    const server = connection.peer
    const told = (head: IcapHead | null): void => {
      const took = elapsed(began, this.icap.clock.mono())
      this.icap.ended({
        service: this.name, uri: this.config.uri, method: 'OPTIONS', outcome: head === null ? 'ICAP_ERR_OTHER' : 'ICAP_OPT',
        status: head?.status ?? 0, bytesSent: connection.bytesWritten - sent, bytesReceived: connection.bytesRead - received,
        contentBytes: -1, tookMs: took, withServiceMs: took, server, requestFields: null, responseFields: head?.fields ?? null,
      }, null)
    }
    let head: IcapHead
    try {
      head = await this.#optionsOver(connection)
    } catch (error) {
      told(null)
      throw error
    }
    told(head)
    if (head.status !== 200) throw new Error(`OPTIONS were answered by ${head.status}`)
    const methods = (head.fields.joined('methods') ?? '').toUpperCase()
    if (!methods.includes(this.config.vector.toUpperCase())) throw new Error(`it does not do ${this.config.vector}, but ${methods || 'nothing'}`)
    const options = optionsOf(head.fields, this.icap)
    this.options = options
    return options
  }

  #optionsOver(connection: Connection): Promise<IcapHead> {
    return new Promise((resolve, reject) => {
      let said: IcapHead | null = null
      const reader = new ReplyReader('OPTIONS', {
        onIcapHead: head => {
          said = head
        },
        onEnclosed() {},
        onContent() {},
        onReplyEnd: () => {
          if (said === null) return
          this.release(connection, said.keepAlive)
          resolve(said)
        },
      })
      const failed = (why: string) => {
        connection.close('aborted')
        reject(new Error(why))
      }
      connection.setReader({
        onData(_, slab, start, end) {
          if (reader.over) return
          reader.feed(slab, start, end)
          if (reader.failed !== '') failed(reader.failed)
        },
        onEnd: () => failed('it closed'),
        onDrain() {},
        onTimeout: () => failed('it was silent'),
        onClose: () => {
          this.gone()
          reject(new Error('the connection broke'))
        },
      })
      connection.setTimeout(this.icap.settings.ioTimeout)
      connection.write(`OPTIONS ${this.config.uri} ICAP/1.0\r\nHost: ${this.authority}\r\nAllow: 204\r\nEncapsulated: null-body=0\r\n\r\n`)
    })
  }

  get authority(): string {
    return `${this.config.host.includes(':') ? `[${this.config.host}]` : this.config.host}:${this.config.port}`
  }

  /** A connection that is to be released, or closed. `fresh`: one that was not used before. Rejects with an Error. */
  async connection(fresh = false): Promise<Connection> {
    for (;;) {
      if (this.#closed) throw new Error('the service is no longer in the conf')
      for (let idle = fresh ? undefined : this.#idle.pop(); idle !== undefined; idle = this.#idle.pop()) {
        if (!idle.closed && !idle.ended) return idle
      }
      const { onOverload } = this.config
      if (this.#open < this.#connectionsMax || onOverload === 'force') return this.#dial()
      if (onOverload !== 'wait' || this.#waiting.length >= waitingMax) throw new Overloaded(`it has ${this.#open} connections`)
      await new Promise<void>(resolve => this.#waiting.push(resolve))
    }
  }

  get #connectionsMax(): number {
    return this.config.connectionsMax ?? this.options?.connectionsMax ?? Number.POSITIVE_INFINITY
  }

  async #dial(): Promise<Connection> {
    this.#open++
    try {
      const connection = await this.icap.dial(this.config.host, this.config.port, this.icap.settings.connectTimeout)
      CountIcap.connections++
      this.#bornAt.set(connection, this.icap.clock.mono())
      return connection
    } catch (error) {
      this.gone()
      throw error
    }
  }

  /** It may be used again. */
  release(connection: Connection, keepAlive: boolean): void {
    if (connection.closed) return
    const { settings, clock } = this.icap
    const left = settings.keptAgeMax - elapsed(this.#bornAt.get(connection) ?? clock.mono(), clock.mono())
    if (!keepAlive || !settings.persistent || left <= 0 || this.#closed || this.#idle.length >= idleMax) {
      connection.close('done')
      return
    }
    this.#idle.push(connection)
    connection.setReader(new Idle(this))
    connection.setTimeout(Math.max(1, Math.min(idleTimeout, left)))
    this.#waiting.shift()?.()
  }

  /** A connection has ended. */
  gone(): void {
    this.#open--
    this.#waiting.shift()?.()
  }

  forget(connection: Connection): void {
    const at = this.#idle.indexOf(connection)
    if (at >= 0) this.#idle.splice(at, 1)
    this.gone()
  }

  worked(tag: string | undefined): void {
    this.#failures = []
    // RFC 3507 4.7: what it says of itself may have changed with it
    if (tag !== undefined && this.options !== null && this.options.tag !== '' && tag !== this.options.tag) this.options = null
  }

  failed(why: string): void {
    CountIcap.failures++
    const { clock, settings } = this.icap
    const now = clock.mono()
    if (!this.up) return
    this.#failures.push(now)
    if (settings.failureWindow > 0) this.#failures = this.#failures.filter(at => now - at <= settings.failureWindow)
    // without OPTIONS nothing can be done with it at all
    if (this.options !== null && (settings.failuresMax < 0 || this.#failures.length <= settings.failuresMax)) return
    CountIcap.rests++
    this.#failures = []
    this.options = null
    this.#restsUntil = now + settings.revivalDelay
    this.icap.warn(`ICAP service ${this.name} (${this.config.uri}) rests for ${settings.revivalDelay / 1000} s: ${why}`)
  }

  close(): void {
    this.#closed = true
    for (const connection of this.#idle.splice(0)) connection.close('shutdown')
    for (const go of this.#waiting.splice(0)) go()
  }
}

export class Overloaded extends Error {}

const idleTimeout = ms(60_000)

class Idle implements ConnectionReader {
  readonly #service: Service

  constructor(service: Service) {
    this.#service = service
  }

  onData(connection: Connection): void {
    connection.close('done') // nothing was asked
  }
  onEnd(connection: Connection): void {
    connection.close('done')
  }
  onDrain(): void {}
  onTimeout(connection: Connection): void {
    connection.close('timeout')
  }
  onClose(connection: Connection, _why: CloseReason): void {
    this.#service.forget(connection)
  }
}

const optionsOf = (fields: Fields, { clock, settings }: Icap): IcapOptions => {
  const number = (name: string): number | null => {
    const text = fields.get(name)
    return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : null
  }
  const ttl = number('options-ttl')
  return {
    previewBytes: number('preview') ?? -1,
    allow204: /(?:^|,)\s*204\s*(?:,|$)/.test(fields.joined('allow') ?? ''),
    tag: fields.get('istag') ?? '',
    connectionsMax: number('max-connections') ?? Number.POSITIVE_INFINITY,
    ignored: new Set((fields.joined('transfer-ignore') ?? '').toLowerCase().split(/[\s,]+/).filter(word => word !== '')),
    until: (clock.mono() + (ttl === null ? settings.optionsTtl : ttl * 1000)) as MonoMs,
  }
}
