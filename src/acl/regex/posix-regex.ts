// POSIX extended regular expressions as glibc's regcomp(REG_EXTENDED|REG_NOSUB) reads them in the C locale, the dialect
// of squid.conf. A pattern is read into a tree; from the tree come the JS regex (emit.ts), the literals by which lists
// are searched (literals.ts) and, where V8 cannot promise to end, a matcher that counts its steps (stepped.ts).
//
// Patterns and subjects are bytes held in latin1 strings. Where letters are folded (-i) the tree is in upper case, as
// in glibc, and stands for both: `[A-z]` is then A to Z and nothing between Z and a.

/** 256 flags: which bytes belong. */
export type ByteSet = Uint8Array

export type Node =
  | { readonly kind: 'empty' }
  | { readonly kind: 'byte'; readonly code: number }
  | { readonly kind: 'set'; readonly bytes: ByteSet; readonly negated: boolean }
  | { readonly kind: 'any' }
  | { readonly kind: 'assert'; readonly what: Assertion }
  | { readonly kind: 'sequence'; readonly parts: readonly Node[] }
  | { readonly kind: 'choice'; readonly branches: readonly Node[] }
  | { readonly kind: 'repeat'; readonly body: Node; readonly min: number; readonly max: number }
  | { readonly kind: 'group'; readonly body: Node; readonly number: number }
  | { readonly kind: 'reference'; readonly number: number }

export type Assertion = 'start' | 'end' | 'boundary' | 'no-boundary' | 'word-start' | 'word-end'

export interface PosixTree {
  readonly ok: true
  readonly root: Node
  readonly folded: boolean
  /** `\1` is used: groups must be remembered. */
  readonly references: boolean
  /** Legal, but hardly what was meant. */
  readonly remarks: readonly RegexRemark[]
}

export interface RegexRemark {
  /** 1-based character of the pattern. */
  readonly position: number
  readonly message: string
  readonly hint: string
}

export interface RegexError extends RegexRemark {
  readonly ok: false
}

/** RE_DUP_MAX of glibc. */
const repeatMax = 32767
/** Deeper nesting than a person writes would only cost us stack. */
const nestingMax = 250

export const parsePosixRegex = (pattern: string, folded: boolean): PosixTree | RegexError => {
  const parser = new Parser(bytesOf(pattern), folded)
  try {
    const root = parser.whole()
    return { ok: true, root, folded, references: parser.references, remarks: parser.remarks }
  } catch (error) {
    if (error instanceof Refusal) return { ok: false, position: error.position, message: error.message, hint: error.hint }
    throw error
  }
}

/** Files are read as UTF-8, traffic is bytes: what is not ASCII becomes its UTF-8 bytes, which is what glibc would see. */
export const bytesOf = (text: string): string =>
  nonAscii.test(text) ? Buffer.from(text, 'utf8').toString('latin1') : text

const nonAscii = /[^\0-\x7f]/

/** Thrown inside the parser only. */
class Refusal extends Error {
  readonly position: number
  readonly hint: string

  constructor(at: number, message: string, hint: string) {
    super(message)
    this.position = at + 1
    this.hint = hint
  }
}

class Parser {
  readonly remarks: RegexRemark[] = []
  references = false
  readonly #text: string
  readonly #folded: boolean
  #at = 0
  #depth = 0
  #groups = 0
  readonly #closed = new Set<number>()

  constructor(text: string, folded: boolean) {
    this.#text = text
    this.#folded = folded
  }

  whole(): Node {
    return this.#choice()
  }

  #choice(): Node {
    if (++this.#depth > nestingMax) this.#refuse(this.#at, 'too many nested groups')
    const branches = [this.#sequence()]
    while (this.#peek() === '|') {
      this.#at++
      branches.push(this.#sequence())
    }
    this.#depth--
    return branches.length === 1 ? (branches[0] as Node) : { kind: 'choice', branches } // one was pushed
  }

  #sequence(): Node {
    const parts: Node[] = []
    while (this.#at < this.#text.length) {
      const c = this.#peek()
      if (c === '|' || (c === ')' && this.#depth > 1)) break
      const atom = this.#atom()
      // after an anchor nothing can be repeated: `^*` is an error, in #atom
      parts.push(atom.kind === 'assert' ? atom : this.#repeats(atom))
    }
    if (parts.length === 1) return parts[0] as Node
    return parts.length === 0 ? { kind: 'empty' } : { kind: 'sequence', parts }
  }

  #atom(): Node {
    const at = this.#at
    const c = this.#text.charAt(this.#at++)
    switch (c) {
      case '(':
        return this.#group(at)
      case '[':
        return this.#bracket(at)
      case '.':
        return { kind: 'any' }
      case '^':
        return { kind: 'assert', what: 'start' }
      case '$':
        return { kind: 'assert', what: 'end' }
      case '\\':
        return this.#escape(at)
      case '*':
      case '+':
      case '?':
      case '{':
        return this.#refuse(at, `'${c}' has nothing before it to repeat`, `write \\${c} for the character itself`)
      default: // an unmatched ) is a character too
        return this.#byte(c.charCodeAt(0))
    }
  }

  #group(at: number): Node {
    if (this.#peek() === '?') {
      const shown = this.#text.slice(at, at + 3)
      this.#refuse(at + 1, `'${shown}' is Perl syntax, which squid.conf does not know`, "write a plain '('")
    }
    const number = ++this.#groups
    const body = this.#choice()
    if (this.#peek() !== ')') this.#refuse(at, "'(' is never closed", 'write \\( for the character itself')
    this.#at++
    this.#closed.add(number)
    return { kind: 'group', body, number }
  }

  #escape(at: number): Node {
    if (this.#at >= this.#text.length) this.#refuse(at, 'a backslash at the end', 'write \\\\ for the character itself')
    const c = this.#text.charAt(this.#at++)
    const assertion = assertions[c]
    if (assertion !== undefined) return { kind: 'assert', what: assertion }
    if (c === 'w' || c === 'W') return { kind: 'set', bytes: wordBytes, negated: c === 'W' }
    if (c === 's' || c === 'S') return { kind: 'set', bytes: spaceBytes, negated: c === 'S' }
    if (c >= '1' && c <= '9') {
      if (!this.#closed.has(Number(c))) this.#refuse(at, `\\${c} refers to a group that is not there`)
      this.references = true
      return { kind: 'reference', number: Number(c) }
    }
    const meant = perlEscapes[c]
    if (meant !== undefined) {
      this.remarks.push({ position: at + 1, message: `\\${c} is the letter ${c}`, hint: meant })
    }
    return this.#byte(c.charCodeAt(0))
  }

  #byte(code: number): Node {
    return { kind: 'byte', code: this.#folded ? upper(code) : code }
  }

  /** `a**`, `a+?`: a repetition may be repeated. */
  #repeats(atom: Node): Node {
    let node = atom
    for (;;) {
      const at = this.#at
      const c = this.#peek()
      if (c === '*') node = repeated(node, 0, Number.POSITIVE_INFINITY)
      else if (c === '+') node = repeated(node, 1, Number.POSITIVE_INFINITY)
      else if (c === '?') node = repeated(node, 0, 1)
      else if (c === '{') {
        node = this.#interval(at, node)
        continue
      } else return node
      this.#at++
    }
  }

  /** `{2}` `{2,}` `{2,5}` `{,5}`. */
  #interval(at: number, body: Node): Node {
    const found = /^\{(\d*)(,?)(\d*)\}/.exec(this.#text.slice(at, at + 16))
    if (found === null) this.#refuse(at, "what follows '{' is no repetition", 'write \\{ for the character itself')
    const [whole = '', first = '', comma = '', second = ''] = found
    if (first === '' && comma === '') this.#refuse(at, "'{}' says no number")
    const min = first === '' ? 0 : Number(first)
    const max = comma === '' ? min : second === '' ? Number.POSITIVE_INFINITY : Number(second)
    if (min > max) this.#refuse(at, `'${whole}' ends before it begins`)
    if (min > repeatMax || (max !== Number.POSITIVE_INFINITY && max > repeatMax)) {
      this.#refuse(at, `'${whole}': no more than ${repeatMax} repetitions`)
    }
    this.#at += whole.length
    return repeated(body, min, max)
  }

  // --- [ ] ---

  #bracket(at: number): Node {
    const negated = this.#peek() === '^'
    if (negated) this.#at++
    const bytes: ByteSet = new Uint8Array(256)
    let first = true
    for (;;) {
      if (this.#peek() === ']' && !first) break
      const from = this.#element(at, bytes, first)
      first = false
      if (from < 0 || this.#peek() !== '-' || this.#text.charAt(this.#at + 1) === ']') {
        if (from >= 0) bytes[from] = 1
        continue
      }
      this.#at++
      this.#range(at, bytes, from)
    }
    this.#at++
    return { kind: 'set', bytes, negated }
  }

  #range(at: number, bytes: ByteSet, from: number): void {
    const begin = this.#at
    const to = this.#element(at, bytes, true)
    if (to < 0) this.#refuse(begin, 'a range cannot end in a class')
    if (from > to) this.#refuse(begin - 2, `the range ${shown(from)}-${shown(to)} ends before it begins`)
    for (let code = from; code <= to; code++) bytes[code] = 1
  }

  /** The byte of one element; -1 when it was a class, which is added to `bytes`. `hyphen` = `-` may stand for itself. */
  #element(at: number, bytes: ByteSet, hyphen: boolean): number {
    if (this.#at >= this.#text.length) this.#refuse(at, "'[' is never closed", 'write \\[ for the character itself')
    const c = this.#text.charAt(this.#at)
    const next = this.#text.charAt(this.#at + 1)
    if (c === '[' && (next === ':' || next === '=' || next === '.')) return this.#named(at, bytes, next)
    if (c === '-' && !hyphen && next !== ']') {
      this.#refuse(this.#at, "'-' in the middle of [ ] is neither a range nor itself", 'put it first or last')
    }
    this.#at++
    const code = c.charCodeAt(0)
    return this.#folded ? upper(code) : code
  }

  /** `[:alpha:]`, `[=a=]`, `[.-.]`. */
  #named(at: number, bytes: ByteSet, mark: string): number {
    const begin = this.#at
    const end = this.#text.indexOf(`${mark}]`, begin + 2)
    if (end < 0) this.#refuse(at, "'[' is never closed", 'write \\[ for the character itself')
    const name = this.#text.slice(begin + 2, end)
    this.#at = end + 2
    if (mark !== ':') {
      if (name.length !== 1) this.#refuse(begin, `[${mark}${name}${mark}] is no single character`)
      const code = name.charCodeAt(0)
      return this.#folded ? upper(code) : code
    }
    const members = classes[this.#folded && (name === 'upper' || name === 'lower') ? 'alpha' : name]
    if (members === undefined) {
      this.#refuse(begin, `there is no class [:${name}:]`, `there are ${Object.keys(classes).join(' ')}`)
    }
    for (let code = 0; code < 128; code++) if (members(code)) bytes[this.#folded ? upper(code) : code] = 1
    return -1
  }

  #peek(): string {
    return this.#text.charAt(this.#at)
  }

  #refuse(at: number, message: string, hint = ''): never {
    throw new Refusal(at, message, hint)
  }
}

/** `a**`, `a+*`: one repetition, not a catastrophe of two. */
const repeated = (body: Node, min: number, max: number): Node =>
  body.kind === 'repeat' && simple(body.min, body.max) && simple(min, max)
    ? { kind: 'repeat', body: body.body, min: Math.min(body.min, min), max: Math.max(body.max, max) }
    : { kind: 'repeat', body, min, max }

const simple = (min: number, max: number): boolean => min <= 1 && (max === 1 || max === Number.POSITIVE_INFINITY)

const shown = (code: number): string => (code >= 32 && code < 127 ? String.fromCharCode(code) : `\\x${code.toString(16)}`)

export const upper = (code: number): number => (code >= 97 && code <= 122 ? code - 32 : code)

const assertions: Readonly<Record<string, Assertion>> = {
  '<': 'word-start',
  '>': 'word-end',
  b: 'boundary',
  B: 'no-boundary',
  '`': 'start',
  "'": 'end',
}

/** What a Perl or JS hand means by letters that are plain here. */
const perlEscapes: Readonly<Record<string, string>> = {
  d: 'did you mean [0-9]?',
  D: 'did you mean [^0-9]?',
  t: 'a tab cannot be written so here',
  n: 'a line end cannot be written so here',
  x: 'bytes cannot be written in hex here',
}

const isDigit = (c: number) => c >= 48 && c <= 57
const isLetter = (c: number) => upper(c) >= 65 && upper(c) <= 90
const isGraph = (c: number) => c > 32 && c < 127

const classes: Readonly<Record<string, (code: number) => boolean>> = {
  alpha: isLetter,
  digit: isDigit,
  alnum: c => isLetter(c) || isDigit(c),
  upper: c => c >= 65 && c <= 90,
  lower: c => c >= 97 && c <= 122,
  space: c => c === 32 || (c >= 9 && c <= 13),
  blank: c => c === 32 || c === 9,
  punct: c => isGraph(c) && !isLetter(c) && !isDigit(c),
  print: c => c >= 32 && c < 127,
  graph: isGraph,
  cntrl: c => c < 32 || c === 127,
  xdigit: c => isDigit(c) || (upper(c) >= 65 && upper(c) <= 70),
}

const setOf = (member: (code: number) => boolean): ByteSet => {
  const bytes = new Uint8Array(256)
  for (let code = 0; code < 256; code++) if (member(code)) bytes[code] = 1
  return bytes
}

export const isWord = (code: number): boolean => isLetter(code) || isDigit(code) || code === 95

const wordBytes = setOf(isWord)
const spaceBytes = setOf(c => c === 32 || (c >= 9 && c <= 13))
