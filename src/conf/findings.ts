import type { Config, Diagnostic, Location, Severity } from './config.ts'
import type { DirectiveName } from './directive/index.ts'

// Everything that was found while reading, in one pass. A conf with an error gives no Config; the words printed keep
// what scripts look for: FATAL, ERROR, WARNING, and file(line).

/** A conf that is something else (a log, a binary) would otherwise be answered with a line per line. */
const listedMax = 1000

export class Findings {
  readonly list: Diagnostic[] = []
  /** Fatal ones and errors. */
  refusals = 0

  fatal(at: Location, message: string, hint = ''): void {
    this.#add('fatal', at, message, hint)
  }

  error(at: Location, message: string, hint = ''): void {
    this.#add('error', at, message, hint)
  }

  warning(at: Location, message: string, hint = ''): void {
    this.#add('warning', at, message, hint)
  }

  note(at: Location, message: string, hint = ''): void {
    this.#add('note', at, message, hint)
  }

  #add(severity: Severity, at: Location, message: string, hint: string): void {
    if (severity === 'fatal' || severity === 'error') this.refusals++
    if (this.list.length < listedMax) this.list.push({ severity, at, message, hint })
    else if (this.list.length === listedMax) {
      this.list.push({
        severity: 'note',
        at,
        message: `more than ${listedMax} remarks: the rest is not listed`,
        hint: '',
      })
    }
  }
}

/** As whoever reads the files from top to bottom comes upon them, whatever found them. */
export const inReadingOrder = (found: readonly Diagnostic[]): readonly Diagnostic[] => found.toSorted((a, b) => comparePlaces(trail(a.at), trail(b.at)))

/** From the first file down to the place. */
const trail = (at: Location): readonly Location[] => (at.from === null ? [at] : [...trail(at.from), at])

const comparePlaces = (a: readonly Location[], b: readonly Location[]): number => {
  for (const [i, one] of a.entries()) {
    const other = b[i]
    if (other === undefined) return 1
    if (one.file !== other.file) return one.file < other.file ? -1 : 1 // of one glob, which is sorted
    if (one.line !== other.line) return one.line - other.line
  }
  return a.length - b.length
}

/** Where a directive was given last. */
export const placeOf = (config: Config, name: DirectiveName): Location => config.given.get(name) ?? builtIn

const builtIn: Location = { file: '(built in)', line: 0, column: 0, from: null }

const words = { fatal: 'FATAL', error: 'ERROR', warning: 'WARNING', note: 'NOTE' } as const

/** `x.conf:12:5` */
export const placeText = (at: Location): string => `${at.file}:${at.line}:${at.column}`

/** Several lines: what and where; the place to jump to; where it was included from; what to do. */
export const diagnosticText = (d: Diagnostic): string => {
  const lines = [`${words[d.severity]}: ${d.at.file}(${d.at.line}): ${d.message}`, `    at ${placeText(d.at)}`]
  for (let from = d.at.from; from !== null; from = from.from)
    lines.push(`    included from ${from.file}(${from.line})`)
  if (d.hint !== '') lines.push(`    hint: ${d.hint}`)
  return lines.join('\n')
}

/** What `-k parse` and a start end with: 1 if anything was refused. Warnings leave 0, as in Squid. */
export const exitCodeOf = (diagnostics: readonly Diagnostic[]): 0 | 1 =>
  diagnostics.some(d => d.severity === 'fatal' || d.severity === 'error') ? 1 : 0
