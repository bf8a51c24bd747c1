import { fault, type HeadLimits } from './head.ts'

// Finding where a head ends, when it has not come in one piece. The order of checks is fixed, so that the answer does
// not depend on where the pieces were cut:
//
//   1. the start line: its bytes, its length      scanLine
//   2. its grammar                                 (as soon as it is complete: garbage is refused without waiting)
//   3. the rest: line ends and controls, length    scanHead
//   4. the grammar of the fields

const faultBareCr = fault('bare-cr')
const faultBareLf = fault('bare-lf')
const faultControl = fault('control')
const faultLineTooLong = fault('line-too-long')
const faultHeadTooLong = fault('head-too-long')

const CR = 13
const LF = 10
const HT = 9
const DEL = 127

/** Where the line ends (behind its LF); 0 = not within [at, end) yet; or a fault. */
export const scanLine = (slab: Uint8Array, at: number, end: number, limits: HeadLimits): number => {
  const bound = at + Math.min(limits.lineBytesMax, limits.headBytesMax)
  const stop = Math.min(end, bound)
  for (let i = at; i < stop; i++) {
    const c = slab[i] as number
    if (c > 31 && c !== DEL) continue
    if (c === LF) return i > at && slab[i - 1] === CR ? i + 1 : faultBareLf
    if (c !== CR) return c === HT ? fault('request-line') : faultControl
    if (i + 1 < stop && slab[i + 1] !== LF) return faultBareCr
  }
  return stop === bound ? faultLineTooLong : 0
}

/**
 * Where the head ends (behind the empty line); 0 = not within [from, end) yet; or a fault. `at` is where the head
 * begins, `from` (behind its first line) where to go on.
 */
export const scanHead = (slab: Uint8Array, at: number, from: number, end: number, limits: HeadLimits): number => {
  const bound = at + limits.headBytesMax
  const stop = Math.min(end, bound)
  for (let i = from; i < stop; i++) {
    const c = slab[i] as number
    if (c > 31 && c !== DEL) continue
    if (c === LF) {
      if (slab[i - 1] !== CR) return faultBareLf
      if (slab[i - 2] === LF) return i + 1
    } else if (c === CR) {
      if (i + 1 < stop && slab[i + 1] !== LF) return faultBareCr
    } else if (c !== HT) return faultControl
  }
  return stop === bound ? faultHeadTooLong : 0
}

/** The slab ends, at `end`, with an empty line: usually the end of a head that came in one piece. */
export const endsInEmptyLine = (slab: Uint8Array, start: number, end: number): boolean =>
  end - start >= 4 && slab[end - 1] === LF && slab[end - 2] === CR && slab[end - 3] === LF && slab[end - 4] === CR
