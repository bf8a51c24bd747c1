import { Conditions } from './condition.ts'
import type { Location } from './config.ts'
import type { Findings } from './findings.ts'
import { blanksAt, commentAt, type LogicalLine, logicalLines, type SourceFile } from './lexer.ts'
import { expandMacros } from './macros.ts'
import { type ConfWorld, readErrorText } from './world.ts'

// The lines that count, of all files, in order. For each logical line: macros, then if/else/endif, then include; what
// is left is a directive.

/** Squid's bound. A file that includes itself is told apart before. */
const depthMax = 16

export interface ConfSource {
  readonly file: string
  /** Absent: read from `file`. */
  readonly text?: string
}

export class Reader {
  readonly #world: ConfWorld
  readonly #findings: Findings

  constructor(world: ConfWorld, findings: Findings) {
    this.#world = world
    this.#findings = findings
  }

  *lines(source: ConfSource): Generator<LogicalLine> {
    const start: Location = { file: source.file, line: 1, column: 1, from: null }
    const text = source.text ?? this.#textOf(source.file, start, true)
    if (text !== null) yield* this.#fileLines(text, { file: source.file, from: null })
  }

  *#fileLines(text: string, source: SourceFile): Generator<LogicalLine> {
    const conditions = new Conditions(this.#findings)
    const remark = (at: Location, message: string, hint: string) => this.#findings.warning(at, message, hint)
    for (const raw of logicalLines(text, source, remark)) {
      // in a branch not taken, unknown macros are nobody's business
      const line =
        conditions.taken || /^(if|else|endif|elif)/.test(raw.text)
          ? expandMacros(raw, this.#world, this.#findings)
          : raw
      if (conditions.take(line) || !conditions.taken) continue
      if (!/^include(?=[ \t]|$)/.test(line.text)) yield line
      else if (!line.broken) yield* this.#include(line)
    }
    conditions.close()
  }

  *#include(line: LogicalLine): Generator<LogicalLine> {
    const end = commentAt(line.text)
    let given = false
    for (let at = blanksAt(line.text, 'include'.length); at < end;) {
      let stop = at
      while (stop < end && !/[ \t]/.test(line.text[stop] ?? '')) stop++
      given = true
      yield* this.#includeWord(line.text.slice(at, stop), line.at(at))
      at = blanksAt(line.text, stop)
    }
    if (!given) this.#findings.fatal(line.at(0), 'include needs a file name')
  }

  *#includeWord(word: string, at: Location): Generator<LogicalLine> {
    const path = word.replace(/^(["'])(.*)\1$/, '$2')
    if (path.startsWith('!') || path.startsWith('|')) {
      this.#findings.fatal(
        at,
        `'${path}' is a command; a conf never runs one`,
        'write its output to a file and include that',
      )
      return
    }
    const pattern = /[*?[]/.test(path)
    const paths = pattern ? this.#matches(path) : [path]
    if (paths.length === 0) this.#findings.note(at, `no file matches ${path}`)
    for (const file of paths) yield* this.#includeFile(file, at)
  }

  #matches(pattern: string): string[] {
    try {
      return [...this.#world.glob(pattern)].sort()
    } catch {
      return [] // a directory that cannot be read has no match, as for glob(3)
    }
  }

  *#includeFile(file: string, at: Location): Generator<LogicalLine> {
    let depth = 1
    for (let from: Location | null = at; from !== null; from = from.from) {
      if (from.file === file) {
        this.#findings.fatal(at, `${file} includes itself`)
        return
      }
      depth++
    }
    if (depth > depthMax + 1) {
      this.#findings.fatal(at, `can't include ${file}: includes are nested too deeply (>${depthMax})`)
      return
    }
    const text = this.#textOf(file, at, false)
    if (text !== null) yield* this.#fileLines(text, { file, from: at })
  }

  #textOf(file: string, at: Location, isMain: boolean): string | null {
    try {
      return this.#world.readFile(file)
    } catch (error) {
      const what = isMain ? 'Unable to open configuration file' : 'Unable to find configuration file'
      this.#findings.fatal(at, `${what}: ${file}: ${readErrorText(error)}`)
      return null
    }
  }
}
