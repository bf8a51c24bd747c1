import { native, notify } from '../../native/index.ts'
import { type Clock, ms, type Timer } from '../base/index.ts'

// What systemd is told, with Type=notify: when we serve, while we read the conf anew, when we end, and that we live
// (WatchdogSec). A datagram each, to the socket NOTIFY_SOCKET names; without one nothing is sent.

export interface ServiceManager {
  /** `status`: the line `systemctl status` shows. */
  ready(status: string): void
  /** Until `ready` is told again. */
  reloading(): void
  stopping(): void
}

interface Environment {
  readonly [name: string]: string | undefined
}

/** Takes the variables out of the environment: programs we start must not speak for us. */
export const takeServiceManager = (env: Record<string, string | undefined>, clock: Clock, send: Send | null = sender()): ServiceManager => {
  const { NOTIFY_SOCKET: socket } = env
  const watchdogMs = watchdogOf(env)
  for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) delete env[name]
  return socket === undefined || send === null ? nobody : new Notified(text => send(socket, text), watchdogMs, clock)
}

export type Send = (socket: string, text: string) => void

/** One that is lost is lost: the manager has its time-outs. */
const sender = (): Send | null => {
  if (!native.present) return null
  const { addon } = native
  return (socket, text) => void notify(addon, socket, text)
}

/** 0: it does not want to know. */
const watchdogOf = ({ WATCHDOG_USEC: usec, WATCHDOG_PID: pid }: Environment): number =>
  usec === undefined || (pid !== undefined && Number(pid) !== process.pid) ? 0 : Number(usec) / 1000

const nobody: ServiceManager = { ready() {}, reloading() {}, stopping() {} }

class Notified implements ServiceManager {
  readonly #tell: (text: string) => void
  readonly #watchdogMs: number
  readonly #clock: Clock
  #timer: Timer | null = null

  constructor(tell: (text: string) => void, watchdogMs: number, clock: Clock) {
    this.#tell = tell
    this.#watchdogMs = watchdogMs
    this.#clock = clock
  }

  ready(status: string): void {
    this.#tell(`READY=1\nSTATUS=${status.replaceAll('\n', ' ')}`)
    if (this.#timer === null) this.#live()
  }

  reloading(): void {
    // the time is for Type=notify-reload (systemd 253)
    this.#tell(`RELOADING=1\nMONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`)
  }

  stopping(): void {
    this.#tell('STOPPING=1')
  }

  /** Twice as often as is asked for. */
  #live(): void {
    if (this.#watchdogMs <= 0) return
    this.#tell('WATCHDOG=1')
    this.#timer = this.#clock.after(ms(this.#watchdogMs / 2), () => this.#live(), { unref: true })
  }
}
