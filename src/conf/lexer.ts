import type { Location } from './config.ts'

// Raw lines become logical lines:
//
//   raw line      cut at its end (LF, CRLF or CR), leading blanks skipped, dropped if empty or a comment
//   continuation  ends in `\` and nothing after it: the next raw line, its leading blanks skipped, is glued on without a
//                 space; comments and empty lines in between are dropped and the continuation goes on
//
// A logical line remembers where each stretch of its text came from, so that every word has a file, line and column.

/** One file being read, by one include line. */
export interface SourceFile {
  readonly file: string
  readonly from: Location | null
}

export class LogicalLine {
  readonly text: string
  readonly source: SourceFile
  /** A macro in it could not be replaced, which has been reported: it is not read. */
  readonly broken: boolean
  readonly #stretches: readonly Stretch[]

  constructor(text: string, source: SourceFile, stretches: readonly Stretch[], broken = false) {
    this.text = text
    this.broken = broken
    this.source = source
    this.#stretches = stretches
  }

  at(offset: number): Location {
    // the last stretch that begins at or before it; a list glued from ten thousand lines asks for every word
    let low = 0
    let high = this.#stretches.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#stretches[middle] ?? nowhere).offset <= offset) low = middle + 1
      else high = middle
    }
    const found = this.#stretches[Math.max(low - 1, 0)] ?? nowhere
    const column = found.still ? found.column : found.column + offset - found.offset
    return { file: this.source.file, line: found.line, column, from: this.source.from }
  }

  /** The line with `[start, end)` replaced; the replacement's letters are all at the place of the first one replaced. */
  replaced(parts: readonly Replacement[]): LogicalLine {
    let text = ''
    let done = 0
    const stretches: Stretch[] = []
    for (const part of parts) {
      this.#copy(done, part.start, text.length, stretches)
      text += this.text.slice(done, part.start)
      const at = this.at(part.start)
      stretches.push({ offset: text.length, line: at.line, column: at.column, still: true })
      text += part.text
      done = part.end
    }
    this.#copy(done, this.text.length, text.length, stretches)
    return new LogicalLine(text + this.text.slice(done), this.source, stretches)
  }

  brokenCopy(): LogicalLine {
    return new LogicalLine(this.text, this.source, this.#stretches, true)
  }

  #copy(start: number, end: number, offset: number, into: Stretch[]): void {
    const first = this.at(start)
    into.push({ offset, line: first.line, column: first.column, still: false })
    for (const s of this.#stretches) {
      if (s.offset > start && s.offset < end) into.push({ ...s, offset: offset + s.offset - start })
    }
  }
}

/** From `offset` of the logical text on, letters stand at `line`, `column` and following; `still`: all at `column`. */
export interface Stretch {
  readonly offset: number
  readonly line: number
  readonly column: number
  readonly still: boolean
}

export interface Replacement {
  readonly start: number
  readonly end: number
  readonly text: string
}

const nowhere: Stretch = { offset: 0, line: 1, column: 1, still: false }

const lineEnd = /\r\n|\n|\r/g

/** A byte order mark at the start is skipped. `remark` hears of a `\` that does not continue its line. */
export function* logicalLines(
  text: string,
  file: SourceFile,
  remark: (at: Location, message: string, hint: string) => void,
): Generator<LogicalLine> {
  let source = file
  let joined = ''
  let stretches: Stretch[] = []
  let number = 0
  let open = false // in a continuation
  for (const raw of rawLines(text)) {
    number++
    const start = blanksAt(raw, 0)
    if (start === raw.length) continue
    if (raw[start] === '#') {
      const mark = lineMark.exec(raw)
      if (mark?.[1] === undefined) continue
      number = Number.parseInt(mark[1], 10) - 1
      source = { file: mark[2] ?? source.file, from: file.from }
      continue
    }
    const continued = raw.endsWith('\\')
    if (!continued && /\\[ \t]+$/.test(raw)) {
      remark(
        { file: source.file, line: number, column: raw.trimEnd().length, from: source.from },
        'blanks after the `\\` at the end: the line is not continued',
        'remove the blanks, or the backslash',
      )
    }
    stretches.push({ offset: joined.length, line: number, column: start + 1, still: false })
    joined += continued ? raw.slice(start, -1) : raw.slice(start)
    open = continued
    if (open) continue
    yield new LogicalLine(joined, source, stretches)
    joined = ''
    stretches = []
  }
  if (joined !== '') yield new LogicalLine(joined, source, stretches)
}

/** `#line 12 "file"`: what a preprocessor leaves behind. */
const lineMark = /^[ \t]*#line[ \t]+(\d{1,9})(?:[ \t]+"([^"]+)")?[ \t]*$/

function* rawLines(text: string): Generator<string> {
  let start = text.charCodeAt(0) === 0xfeff ? 1 : 0
  for (;;) {
    lineEnd.lastIndex = start // a nested reading has moved it
    const end = lineEnd.exec(text)
    if (end === null) {
      if (start < text.length) yield text.slice(start)
      return
    }
    yield text.slice(start, end.index)
    start = end.index + end[0].length
  }
}

export const isBlank = (c: string | undefined): boolean => c === ' ' || c === '\t'

/** The first offset from `at` on that is no blank. */
export const blanksAt = (text: string, at: number): number => {
  let i = at
  while (isBlank(text[i])) i++
  return i
}

/** Where the trailing comment begins: a `#` at the beginning of a word; the length of the text if there is none. */
export const commentAt = (text: string): number => {
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '#' && (i === 0 || isBlank(text[i - 1]))) return i
  }
  return text.length
}
