import { type Bad, type HeadAnswer, type HeadLimits, more } from './head.ts'
import type { RequestHead } from './request-head.ts'

// uri_whitespace: a request line with blanks in its target. Two readers could see two targets in it, so it is refused unless
// the conf says what it means; then it is read as if it had been sent so, and nothing that is sent on has blanks.

export type BlanksInTarget =
  | 'strip' // left out
  | 'encode' // %20, %09
  | 'chop' // the target ends at the first

const emptyLine = '\r\n\r\n'
const CR = 13
const LF = 10

/** Where the line can be repaired, what `read` makes of it; else the refusal. slab[at, end) is all there is. */
export const readRepaired = (
  slab: Buffer,
  start: number,
  at: number,
  end: number,
  limits: HeadLimits,
  refusal: Bad,
  read: (bytes: Buffer, limits: HeadLimits) => HeadAnswer<RequestHead>,
): HeadAnswer<RequestHead> => {
  const how = limits.blanksInTarget
  const feed = slab.indexOf(LF, at)
  if (how === undefined || feed < 0 || feed >= end || slab[feed - 1] !== CR || feed - at >= limits.lineBytesMax) return refusal
  const line = repairedLine(slab.toString('latin1', at, feed - 1), how)
  if (line === null) return refusal
  // read once it is whole, not with each piece that comes
  const whole = slab.indexOf(emptyLine, feed - 1)
  if ((whole < 0 || whole + emptyLine.length > end) && end - at <= limits.headBytesMax) return more
  const head = Buffer.from(`${line}\r\n`, 'latin1')
  const answer = read(Buffer.concat([head, slab.subarray(feed + 1, end)]), { ...limits, blanksInTarget: undefined })
  if (answer.kind !== 'head') return answer.kind === 'more' ? more : answer
  // in the client's bytes
  const fieldBytes = answer.end - head.length
  return { kind: 'head', head: { ...answer.head, headBytes: feed + 1 + fieldBytes - start }, end: feed + 1 + fieldBytes }
}

/** Null: that is not what is wrong with it. An authority has no part in which a blank could be meant. */
const repairedLine = (line: string, how: BlanksInTarget): string | null => {
  const found = /^([^ \t]+) ([^ \t].*[^ \t]|[^ \t]) (HTTP\/\d\.\d)$/.exec(line)
  const [, method = '', target = '', version = ''] = found ?? []
  if (found === null || method === 'CONNECT' || !/[ \t]/.test(target)) return null
  const said = how === 'strip' ? target.replace(/[ \t]+/g, '') : how === 'chop' ? target.replace(/[ \t].*$/s, '') : target.replace(/[ \t]/g, c => (c === ' ' ? '%20' : '%09'))
  return `${method} ${said} ${version}`
}
