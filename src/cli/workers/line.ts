import { type Clock, type DurationMs, errnoOf } from '../../base/index.ts'

// Questions and answers between two processes, over the channel Node gives a forked one. Either side asks; an answer
// that does not come in time, or never will since the other has gone, is null.

export interface Channel {
  send(message: unknown, done: (error: Error | null) => void): void
  onMessage(heard: (message: unknown) => void): void
  onGone(heard: () => void): void
}

type Message<Question> =
  | { readonly ask: number; readonly question: Question }
  | { readonly tell: number; readonly answer: unknown }

/** More than this many open questions: the other side does not answer any more. */
const openMax = 10_000

/** `Asks` is what this side asks, `Asked` what it is asked. */
export class Line<Asks, Asked> {
  readonly #channel: Channel
  readonly #clock: Clock
  readonly #open = new Map<number, (answer: unknown) => void>()
  #last = 0
  #gone = false

  constructor(channel: Channel, clock: Clock, answer: (question: Asked) => Promise<unknown>) {
    this.#channel = channel
    this.#clock = clock
    channel.onMessage(message => this.#heard(message as Message<Asked>, answer)) // nobody else has the other end
    channel.onGone(() => this.#end())
  }

  get gone(): boolean {
    return this.#gone
  }

  /** Null: no answer within `patience`, or there is nobody any more. Never rejects. */
  ask(question: Asks, patience: DurationMs): Promise<unknown> {
    if (this.#gone || this.#open.size >= openMax) return Promise.resolve(null)
    const number = ++this.#last
    return new Promise(resolve => {
      const timer = this.#clock.after(patience, () => done(null), { unref: true })
      const done = (answer: unknown): void => {
        timer.cancel()
        this.#open.delete(number)
        resolve(answer)
      }
      this.#open.set(number, done)
      this.#send({ ask: number, question })
    })
  }

  #heard(message: Message<Asked>, answer: (question: Asked) => Promise<unknown>): void {
    if ('tell' in message) return this.#open.get(message.tell)?.(message.answer)
    const { ask } = message
    answer(message.question).then(
      said => this.#send({ tell: ask, answer: said }),
      error => {
        this.#send({ tell: ask, answer: null })
        throw error // a fault of ours: whoever listens to those hears of it
      },
    )
  }

  #send(message: Message<Asks>): void {
    if (this.#gone) return
    try {
      this.#channel.send(message, error => {
        if (error !== null) this.#end()
      })
    } catch (error) {
      if (errnoOf(error) === '') throw error
      this.#end()
    }
  }

  #end(): void {
    this.#gone = true
    for (const done of [...this.#open.values()]) done(null)
  }
}
