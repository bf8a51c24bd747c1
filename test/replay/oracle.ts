import type { Asked } from './trace.ts'
import { variantOf } from './origin.ts'
import { beganAt, contentOf, epochAt, illness, staleWindow, type Thing, type World } from './world.ts'

// What an answer may be. It knows nothing of the proxy: only what the origin had at which second, and for how long the
// origin allowed its words to be repeated (RFC 9111 4.2). A response is right if it was the current one at some second
// from which on it could have been kept until now.

export interface Answer {
  readonly status: number
  readonly version: string | undefined
  readonly variant: string | undefined
  readonly etag: string | undefined
  readonly contentLength: number | undefined
  readonly age: number | undefined
  readonly content: Buffer
  readonly complete: boolean
}

/** What was known around the exchange. Seconds of the world; `slack` is how far the proxy's clock may be from ours. */
export interface Seen {
  readonly from: number
  readonly to: number
  readonly slack: number
  /** Unsafe requests answered before the exchange began / received by the origin when it ended. */
  readonly changesBefore: number
  readonly changesAfter: number
  /** If-None-Match as sent. */
  readonly condition: string | undefined
}

/** Null = right; else what is wrong with it. */
export const wrong = (world: World, of: Thing, asked: Asked, answer: Answer, seen: Seen): string | null => {
  const ill = illAround(world, of, seen)
  if (answer.status === 503) return ill ? null : 'a 503 the origin did not send'
  if (!answer.complete) return ill ? null : 'broken off, though the origin was well'
  if (asked.method === 'POST') return answer.status === 204 ? null : `POST was answered ${answer.status}`
  const variant = variantOf(of, asked.coding, asked.language)
  if (answer.status === 304) {
    if (seen.condition === undefined) return 'a 304 to a request without a condition'
    const version = seen.condition.split('-')[1] ?? ''
    return permitted(world, of, asked, version, ill, seen)
  }
  const status = of.kind === 'missing' ? 404 : of.kind === 'moved' ? 301 : 200
  if (answer.status !== status) return `status ${answer.status}, not ${status}`
  if (answer.version === undefined || answer.variant !== variant) return `variant ${answer.variant}, not ${variant}`
  if (asked.method === 'HEAD') {
    if (answer.content.length > 0) return 'content in an answer to HEAD'
    if (answer.contentLength !== undefined && answer.contentLength !== of.bytes) return `length ${answer.contentLength}`
  } else if (!answer.content.equals(contentOf(of, variant, answer.version))) return 'other bytes'
  if (of.etag && answer.etag !== `"${of.id}-${answer.version}-${variant}"`) return `the ETag of another: ${answer.etag}`
  return permitted(world, of, asked, answer.version, ill, seen)
}

const permitted = (world: World, of: Thing, asked: Asked, version: string, ill: boolean, seen: Seen): string | null => {
  const [epoch = Number.NaN, changes = Number.NaN] = version.split('.').map(Number)
  const { from, to, slack } = seen
  // RFC 9111 4.4: what an unsafe request may have changed is not used again
  if (changes < seen.changesBefore || changes > seen.changesAfter) return `changed ${changes} times, not ${seen.changesBefore} to ${seen.changesAfter}`
  if (epoch > epochAt(of, to + slack)) return `version ${version} has not been yet`
  const last = beganAt(of, epoch + 1) // from here on it is not current
  if (last >= from - slack) return null
  const must = asked.reload || of.vary === 'everything' || of.kind === 'private' || of.kind === 'no-store' || of.kind === 'validated'
  if (must) return `version ${version} is of the past, and must not be kept (ended ${from - last} s ago)`
  // the origin's being ill lets it live on, where nobody forbids it (RFC 9111 4.2.4)
  if (ill && of.kind !== 'strict') return null
  const until = last + longest(world, of, epoch, last) + slack
  return from <= until ? null : `version ${version} is too old by ${from - until} s`
}

/** How long a version may be repeated when it was asked for in its last second. */
const longest = (world: World, of: Thing, epoch: number, last: number): number => {
  if (of.kind === 'heuristic') return Math.ceil(0.2 * (last - beganAt(of, epoch))) + 1
  return of.lifetime + staleWindow(world, of)
}

const illAround = (world: World, of: Thing, { from, to, slack }: Seen): boolean => {
  const step = Math.max(1, world.day / 200)
  for (let second = from - slack; second <= to + slack + step; second += step) {
    if (illness(world, of, Math.min(second, to + slack)) !== 'well') return true
  }
  return false
}
