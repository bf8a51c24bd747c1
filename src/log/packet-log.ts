import { ms, type Timer } from '../base/index.ts'
import { FailureNotes, type LineSink, Losses, type SinkOptions, waitingBytesMax } from './sink.ts'

// A datagram per line: to another machine (udp://) or to the system's log (syslog:). What may wait, waits in a queue;
// what is lost on the way is known only as far as the kernel tells.

/**
 * sent    as far as this machine knows
 * lost    this line is gone, the next may go
 * full    nothing goes at the moment; the line waits
 * broken  the way has to be opened again; the line waits
 */
export type Sent = 'sent' | 'lost' | 'full' | 'broken'

export interface PacketWay {
  /** `done` comes once, perhaps within the call. */
  send(line: string, done: (what: Sent, reason: string) => void): void
  close(): void
}

export type WayOpened = { readonly ok: true; readonly way: PacketWay } | { readonly ok: false; readonly reason: string }

/** `opened` comes once, perhaps within the call. */
export type OpenWay = (opened: (answer: WayOpened) => void) => void

/** Given to the system and not confirmed by it. */
const inFlightMax = 256
const fullMs = ms(20)
const reopenMs = ms(1000)

export class PacketLog implements LineSink {
  readonly #options: SinkOptions
  readonly #open: OpenWay
  readonly #losses: Losses
  readonly #notes: FailureNotes
  #way: PacketWay | null = null
  #opening = false
  #queue: string[] = []
  /** Where the queue begins: it is cut only now and then. */
  #at = 0
  #bytes = 0
  #inFlight = 0
  #pumping = false
  #retry: Timer | null = null
  #closed = false
  #waiters: (() => void)[] = []

  constructor(place: string, open: OpenWay, options: SinkOptions) {
    this.#options = options
    this.#open = open
    this.#losses = new Losses(place, options)
    this.#notes = new FailureNotes(place, options)
    this.#openWay()
  }

  get dropped(): number {
    return this.#losses.total
  }

  write(line: string): void {
    if (this.#closed || this.#bytes + line.length > waitingBytesMax) return this.#losses.lose()
    this.#queue.push(line)
    this.#bytes += line.length
    this.#pump()
  }

  /** There is nothing to rename. */
  rotate(): void {}

  reopen(): void {}

  flush(): Promise<void> {
    if (this.#dry) return Promise.resolve()
    return new Promise(resolve => this.#waiters.push(resolve))
  }

  async close(): Promise<void> {
    if (this.#closed) return
    await this.flush()
    this.#closed = true
    this.#retry?.cancel()
    this.#losses.lose(this.#queue.length - this.#at)
    this.#queue = []
    this.#at = 0
    this.#way?.close()
    this.#way = null
  }

  /** Nothing is left, or nothing of it can go now. */
  get #dry(): boolean {
    return (this.#at === this.#queue.length && this.#inFlight === 0) || (this.#retry !== null && this.#inFlight === 0)
  }

  #openWay(): void {
    this.#opening = true
    this.#open(answer => {
      this.#opening = false
      if (this.#closed) {
        if (answer.ok) answer.way.close()
        return
      }
      if (answer.ok) {
        this.#way = answer.way
        this.#pump()
      } else this.#failed(answer.reason)
    })
  }

  #pump(): void {
    if (this.#pumping || this.#closed) return
    this.#pumping = true
    while (this.#way !== null && this.#retry === null && this.#at < this.#queue.length && this.#inFlight < inFlightMax) {
      const line = this.#queue[this.#at] as string // within by the condition
      this.#at++
      this.#bytes -= line.length
      this.#inFlight++
      this.#way.send(line, (what, reason) => this.#done(line, what, reason))
    }
    this.#pumping = false
    if (this.#at > 1000 || this.#at === this.#queue.length) {
      this.#queue.splice(0, this.#at)
      this.#at = 0
    }
    if (this.#way === null && !this.#opening && this.#retry === null) this.#openWay()
    this.#release()
  }

  #done(line: string, what: Sent, reason: string): void {
    this.#inFlight--
    switch (what) {
      case 'sent':
        this.#notes.works()
        this.#losses.tell()
        break
      case 'lost':
        this.#notes.failed(reason)
        this.#losses.lose()
        break
      case 'full':
        this.#putBack(line)
        this.#again(fullMs)
        break
      case 'broken':
        this.#putBack(line)
        this.#way?.close()
        this.#way = null
        this.#failed(reason)
        break
    }
    this.#pump()
  }

  #putBack(line: string): void {
    if (this.#at > 0) this.#queue[--this.#at] = line
    else this.#queue.unshift(line)
    this.#bytes += line.length
  }

  #failed(reason: string): void {
    this.#notes.failed(reason)
    this.#again(reopenMs)
    this.#release()
  }

  #again(delay: typeof reopenMs): void {
    this.#retry?.cancel()
    this.#retry = this.#options.clock.after(
      delay,
      () => {
        this.#retry = null
        this.#pump()
      },
      { unref: true },
    )
  }

  #release(): void {
    if (!this.#dry) return
    for (const waiter of this.#waiters.splice(0)) waiter()
  }
}
