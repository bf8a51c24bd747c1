import { valueByte } from './characters.ts'
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
const faultRequestLine = fault('request-line')
const faultLineTooLong = fault('line-too-long')
const faultHeadTooLong = fault('head-too-long')

const CR = 13
const LF = 10
const HT = 9
const DEL = 127

/** Judges the start line slab[at, lineEnd): negative = a fault. */
export type JudgeLine = (slab: Buffer, at: number, lineEnd: number) => number

/**
 * Where the head that begins at `at` ends; 0 = not within [at, end) yet; or a fault. What lies before `scanFrom` was
 * found faultless by an earlier call.
 */
export const findHead = (
  slab: Buffer,
  at: number,
  end: number,
  limits: HeadLimits,
  scanFrom: number,
  judgeLine: JudgeLine,
): number => {
  const lineEnd = scanLine(slab, at, end, limits)
  if (lineEnd <= 0) return lineEnd
  if (lineEnd > scanFrom) {
    const judged = judgeLine(slab, at, lineEnd)
    if (judged < 0) return judged
  }
  return scanHead(slab, at, Math.max(lineEnd, scanFrom - 1), end, limits)
}

/** Where the line ends (behind its LF); 0 = not within [at, end) yet; or a fault. */
const scanLine = (slab: Uint8Array, at: number, end: number, limits: HeadLimits): number => {
  const bound = at + Math.min(limits.lineBytesMax, limits.headBytesMax)
  const stop = end < bound ? end : bound
  let i = at
  while (i < stop && lineByte(slab[i] as number)) i++
  if (i + 1 < stop && slab[i] === CR && slab[i + 1] === LF) return i + 2
  if (i < stop && slab[i] !== CR) return lineFault(slab[i] as number)
  if (i + 1 < stop) return faultBareCr
  return stop === bound ? faultLineTooLong : 0
}

/** SP to '~', and obs-text, which the target's own check names more exactly. */
const lineByte = (c: number): boolean => c > 31 && c !== DEL

const lineFault = (c: number): number => (c === LF ? faultBareLf : c === HT ? faultRequestLine : faultControl)

/**
 * Where the head ends (behind the empty line); 0 = not within [from, end) yet; or a fault. `at` is where the head
 * begins, `from` (behind its first line) where to go on.
 */
export const scanHead = (slab: Uint8Array, at: number, from: number, end: number, limits: HeadLimits): number => {
  const bound = at + limits.headBytesMax
  const stop = end < bound ? end : bound
  let i = from
  for (;;) {
    while (i < stop && valueByte[slab[i] as number] === 1) i++
    if (i >= stop) break
    const c = slab[i]
    if (c === LF) {
      if (slab[i - 1] !== CR) return faultBareLf
      if (slab[i - 2] === LF) return i + 1
    } else if (c !== CR) return faultControl
    else if (i + 1 < stop && slab[i + 1] !== LF) return faultBareCr
    i++
  }
  return stop === bound ? faultHeadTooLong : 0
}

/** Bytes up to which a head is read in the hope that it is whole, before anything was scanned. */
const wholeBytesMax = 8 * 1024

/** slab[start, end) ends with an empty line and is short: most likely a head that came in one piece. */
export const looksWhole = (slab: Uint8Array, start: number, end: number): boolean =>
  end - start >= 4 &&
  end - start <= wholeBytesMax &&
  slab[end - 1] === LF &&
  slab[end - 2] === CR &&
  slab[end - 3] === LF &&
  slab[end - 4] === CR
