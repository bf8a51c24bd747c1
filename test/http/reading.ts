import {
  type BadReason, BodyReader, type HeadLimits, parseRequestHead, type RequestHead, usualHeadLimits,
} from '../../src/http/index.ts'

// What the tests of this folder share: reading text as a connection would deliver it.

export const bytes = (text: string): Buffer => Buffer.from(text, 'latin1')

export type Read = RequestHead | BadReason | 'more'

/** The head, the reason it is refused, or 'more'. The text lies in the middle of a slab full of line ends. */
export const read = (text: string, limits: Partial<HeadLimits> = {}): Read => {
  const slab = Buffer.alloc(text.length + 40, '\r\n')
  slab.write(text, 20, 'latin1')
  const answer = parseRequestHead(slab, 20, 20 + text.length, { ...usualHeadLimits, ...limits })
  return answer.kind === 'head' ? answer.head : answer.kind === 'bad' ? answer.why : 'more'
}

export const readHead = (text: string, limits: Partial<HeadLimits> = {}): RequestHead => {
  const head = read(text, limits)
  if (typeof head === 'string') throw new Error(`refused: ${head}`)
  return head
}

export interface Message {
  readonly head: RequestHead
  readonly content: string
  readonly trailers: readonly string[]
}

export interface Conversation {
  readonly messages: Message[]
  /** Why it ended before the bytes did; null = it did not. */
  readonly why: BadReason | null
  /** The bytes ended inside a message. */
  readonly open: boolean
}

/**
 * Reads requests out of `wire` as a server does, the bytes arriving in pieces that end at `cuts` (ascending), until one
 * says that it is the last. Whatever the cuts, the result must be the same.
 */
export const converse = (
  wire: Buffer,
  cuts: readonly number[] = [],
  limits: HeadLimits = usualHeadLimits,
): Conversation => {
  const messages: Message[] = []
  let at = 0
  let scanFrom = 0
  let head: RequestHead | null = null
  let reader: BodyReader | null = null
  let parts: Buffer[] = []
  const sink = { onContent: (slab: Buffer, start: number, end: number) => parts.push(Buffer.from(slab.subarray(start, end))) }
  for (const end of [...cuts.filter(cut => cut < wire.length), wire.length]) {
    while (at < end || reader?.done) {
      if (head === null || reader === null) {
        const answer = parseRequestHead(wire, at, end, limits, scanFrom)
        if (answer.kind === 'bad') return { messages, why: answer.why, open: false }
        if (answer.kind === 'more') {
          scanFrom = end
          break
        }
        head = answer.head
        at = answer.end
        reader = new BodyReader(head.framing)
        parts = []
      }
      at = reader.feed(wire, at, end, sink)
      if (reader.failed !== null) return { messages, why: reader.failed.why, open: false }
      if (!reader.done) break
      messages.push({
        head,
        content: Buffer.concat(parts).toString('latin1'),
        trailers: reader.trailers?.pairs ?? [],
      })
      if (!head.keepAlive || head.form === 'authority') return { messages, why: null, open: false }
      head = null
      reader = null
      scanFrom = at
    }
  }
  return { messages, why: null, open: head !== null || at < wire.length }
}
