import type { Outcome } from '../../base/index.ts'
import { codes, formerCodes, type Code, type LineMoment, type Value } from './codes.ts'
import { encode, type Encoding } from './encode.ts'

// A logformat text becomes a list of parts once; a line is their concatenation.
//
//   % [encoding: " [ # / ' j] [-] [[0]width] [.max] [{argument}] code [{argument}]

export interface FormatProblem {
  readonly severity: 'fatal' | 'warning'
  /** 1-based character of the format. */
  readonly position: number
  readonly message: string
}

export interface CompiledFormat {
  /** One line with its line feed. */
  readonly line: (outcome: Outcome, moment: LineMoment) => string
  readonly problems: readonly FormatProblem[]
}

/** `around`: the encoding of codes that name none. */
export const compileFormat = (text: string, stripQuery: boolean, around: Encoding = 'default', tellsSecrets = false): CompiledFormat => {
  const parser = new FormatParser(latin1Of(text), stripQuery, around, tellsSecrets)
  parser.parse()
  return { line: joined([...parser.parts, '\n']), problems: parser.problems }
}

/**
 * The same for a text that is no line of a log: a field of a message, the question of a helper. Nothing in it ends a line.
 * `tellsSecrets`: a helper that decides by a password or a token has to see it.
 */
export const compileText = (
  text: string,
  around: Encoding = 'default',
  tellsSecrets = false,
): { readonly text: (outcome: Outcome) => string; readonly problems: readonly FormatProblem[] } => {
  const { line, problems } = compileFormat(text, false, around, tellsSecrets)
  return {
    text: outcome => line(outcome, { wallMs: outcome.startedAt, sequence: 0, icap: null }).slice(0, -1).replace(/[\0-\x08\x0a-\x1f\x7f]/g, ' '),
    problems,
  }
}

/** The conf is UTF-8, log lines are bytes in latin1 strings. */
const latin1Of = (text: string): string => (/[^\0-\x7f]/.test(text) ? Buffer.from(text, 'utf8').toString('latin1') : text)

type Part = string | Value

const joined =
  (parts: readonly Part[]): Value =>
  (outcome, moment) => {
    let line = ''
    for (let i = 0; i < parts.length; i++) {
      const part = parts[i] as Part // within by the loop
      line += typeof part === 'string' ? part : part(outcome, moment)
    }
    return line
  }

/** Longest first: `tS` is not `t` and `S`, `>ha` not `>h` and `a`. */
const names = [...Object.keys(codes), ...Object.keys(formerCodes)].sort((a, b) => b.length - a.length)

/** All but `j` are Squid's; no code begins with a j. */
const encodings: Readonly<Record<string, Encoding>> = { '"': 'quoted', '[': 'log', '#': 'url', '/': 'shell', "'": 'raw', 'j': 'json' }

class FormatParser {
  readonly parts: Part[] = []
  readonly problems: FormatProblem[] = []
  readonly #text: string
  readonly #stripQuery: boolean
  readonly #tellsSecrets: boolean
  #at = 0
  /** What the quotes and brackets of the format's own text say about the codes inside. */
  #around: Encoding

  constructor(text: string, stripQuery: boolean, around: Encoding, tellsSecrets: boolean) {
    this.#tellsSecrets = tellsSecrets
    this.#around = around
    this.#text = text
    this.#stripQuery = stripQuery
  }

  parse(): void {
    while (this.#at < this.#text.length) {
      const percent = this.#text.indexOf('%', this.#at)
      const end = percent < 0 ? this.#text.length : percent
      if (end > this.#at) this.#literal(this.#text.slice(this.#at, end))
      this.#at = end
      if (percent >= 0) this.#code()
    }
  }

  #literal(text: string): void {
    this.parts.push(text)
    for (const c of text) {
      if (c === '"') {
        if (this.#around === 'default') this.#around = 'quoted'
        else if (this.#around === 'quoted') this.#around = 'default'
      } else if (c === '[' && this.#around === 'default') this.#around = 'log'
      else if (c === ']' && this.#around === 'log') this.#around = 'default'
    }
  }

  #code(): void {
    const begin = this.#at
    const head = /^%(?:(%)|(["[#/'j])?(-)?(0)?(\d{1,5})?(?:\.(\d{1,5}))?(?:\{([^}]*)\})?)/.exec(this.#text.slice(begin))
    if (head?.[1] !== undefined) {
      this.parts.push('%')
      this.#at += 2
      return
    }
    const [whole = '', , mark, left, zero, width, max, before] = head ?? []
    this.#at += whole.length
    if (this.#text.startsWith('%', this.#at)) return this.#percent(Number(width ?? 0), left !== undefined)
    const byte = /^byte\{(\d{1,3})\}/.exec(this.#text.slice(this.#at))
    if (byte !== null) return this.#byte(begin, byte[0], Number(byte[1]))
    const name = names.find(candidate => this.#text.startsWith(candidate, this.#at))
    if (name === undefined) return this.#unknown(begin)
    this.#at += name.length
    const after = before === undefined ? /^\{([^}]*)\}/.exec(this.#text.slice(this.#at)) : null
    this.#at += after?.[0].length ?? 0
    const code = this.#codeNamed(name, begin)
    const value = code.value({ argument: before ?? after?.[1] ?? '', stripQuery: this.#stripQuery, tellsSecrets: this.#tellsSecrets, precision: Number(max ?? 0) })
    const encoding = mark === undefined ? this.#around : (encodings[mark] ?? 'default')
    this.parts.push(shaped(value, code, encoding, { left: left !== undefined, zero: zero !== undefined, width: Number(width ?? 0), max: Number(max ?? 0) }))
  }

  #codeNamed(name: string, begin: number): Code {
    const today = formerCodes[name]
    if (today !== undefined) {
      this.#problem('warning', begin, `The "${name}" formatting code is deprecated. Use the "${today}" instead.`)
    }
    const code = codes[today ?? name] as Code // both tables lead to codes, tested
    if (code.silent) this.#problem('warning', begin, `%${today ?? name} (${code.doc}) has no value here: it is always -`)
    return code
  }

  #percent(width: number, left: boolean): void {
    this.parts.push(left ? '%'.padEnd(width) : '%'.padStart(width))
    this.#at++
  }

  #byte(begin: number, whole: string, value: number): void {
    this.#at += whole.length
    if (value > 255) this.#problem('fatal', begin, `%${whole} is no byte`)
    else this.parts.push(String.fromCharCode(value))
  }

  #unknown(begin: number): void {
    const shown = this.#text.slice(begin).split(/\s/, 1)[0] ?? ''
    this.#problem('fatal', begin, `Unsupported %code: '${shown}'`)
    this.#at = begin + Math.max(1, shown.length)
  }

  #problem(severity: 'fatal' | 'warning', at: number, message: string): void {
    this.problems.push({ severity, position: at + 1, message })
  }
}

interface Shape {
  readonly left: boolean
  readonly zero: boolean
  readonly width: number
  readonly max: number
}

const shaped = (value: Value, code: Code, encoding: Encoding, shape: Shape): Value => {
  const safe = encoded(value, code, encoding)
  const dashAlone = code.wideDash !== true
  const { left, zero, width, max } = shape
  if (width === 0 && (max === 0 || code.number)) return safe
  const fill = zero && code.number ? '0' : ' '
  return (outcome, moment) => {
    const text = safe(outcome, moment)
    if (text === '-' && dashAlone) return text
    const cut = max > 0 && !code.number ? text.slice(0, max) : text
    if (left) return cut.padEnd(width)
    return cut.padStart(width, fill)
  }
}

/** What is not there is `-` and needs no encoding. */
const encoded = (value: Value, code: Code, encoding: Encoding): Value => {
  if (code.number || (encoding === 'default' && !code.peer)) return (outcome, moment) => value(outcome, moment) || '-'
  return (outcome, moment) => {
    const text = value(outcome, moment)
    return text === '' ? '-' : encode(text, encoding)
  }
}
