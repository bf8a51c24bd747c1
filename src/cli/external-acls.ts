import type { AccessFacts, ExternalAcl, HelperWord } from '../acl/index.ts'
import type { Config, Diagnostic, ExternalAclType } from '../conf/index.ts'
import { escapeField, type HelperAnswer, parseReply } from '../helper/index.ts'
import { compileText } from '../log/index.ts'
import type { Ask, Programs } from './programs.ts'

// external_acl_type: a question made of a format, its answers remembered.

export interface ExternalAcls {
  /** By name in lower case. */
  readonly types: ReadonlyMap<string, ExternalAcl>
  /** Those that name the user. */
  readonly needUser: ReadonlySet<string>
}

export const externalAclsOf = (config: Config, programs: Programs, problems: Diagnostic[]): ExternalAcls => {
  const types = new Map<string, ExternalType>()
  for (const line of config.external_acl_type) {
    const first = types.get(line.name.toLowerCase())
    if (first !== undefined) {
      problems.push({ severity: 'warning', at: line.at, message: `external_acl_type ${line.name} is already defined. Ignoring.`, hint: 'the first one counts, as in Squid: take another name' })
      continue
    }
    const ask = programs.add({ name: `external_acl_type ${line.name}`, command: line.command, children: line.children, at: line.at })
    types.set(line.name.toLowerCase(), new ExternalType(line, ask, programs, problems))
  }
  return { types, needUser: new Set([...types].filter(([, type]) => type.needsUser).map(([name]) => name)) }
}

interface Remembered {
  readonly word: HelperWord
  readonly at: number
}

type Piece = string | 'data' | 'acl' | ((facts: AccessFacts) => string)

class ExternalType implements ExternalAcl {
  readonly needsUser: boolean
  readonly #line: ExternalAclType
  readonly #ask: Ask
  readonly #programs: Programs
  readonly #pieces: readonly Piece[]
  /** What was answered, the oldest first. */
  readonly #answers = new Map<string, Remembered>()
  readonly #asking = new Map<string, Promise<HelperWord>>()

  constructor(line: ExternalAclType, ask: Ask, programs: Programs, problems: Diagnostic[]) {
    this.#line = line
    this.#ask = ask
    this.#programs = programs
    this.needsUser = line.format.some(word => /^%(?:LOGIN|ul)$/.test(word))
    this.#pieces = piecesOf(line, problems)
  }

  lineFor(facts: AccessFacts, acl: string, words: readonly string[]): string {
    const data = words.length === 0 ? '-' : words.map(escapeField).join(' ')
    return this.#pieces.map(piece => (piece === 'data' ? data : piece === 'acl' ? escapeField(acl) : typeof piece === 'string' ? piece : piece(facts))).join(' ')
  }

  ask(line: string): HelperWord | Promise<HelperWord> {
    const known = this.#answers.get(line)
    if (known !== undefined) {
      const ageMs = this.#programs.clock.mono() - known.at
      const ttlMs = 1000 * (known.word.matches === true ? this.#line.ttl : this.#line.negativeTtl)
      if (ageMs < ttlMs) {
        // Squid's grace: asked anew behind the back of whoever is answered
        if (ageMs >= ttlMs * (1 - this.#line.grace / 100)) void this.#question(line)
        return known.word
      }
    }
    return this.#question(line)
  }

  /** Who asks the same meanwhile shares it. */
  #question(line: string): Promise<HelperWord> {
    const asking = this.#asking.get(line)
    if (asking !== undefined) return asking
    const question = this.#ask(line).then(answer => {
      this.#asking.delete(line)
      const word = wordOf(line, answer)
      if (word === null) return { ...nothing, line }
      this.#remember(word)
      return word
    })
    this.#asking.set(line, question)
    return question
  }

  #remember(word: HelperWord): void {
    if (this.#line.cacheMax === 0) return
    this.#answers.delete(word.line)
    this.#answers.set(word.line, { word, at: this.#programs.clock.mono() })
    if (this.#answers.size <= this.#line.cacheMax) return
    for (const oldest of this.#answers.keys()) {
      this.#answers.delete(oldest)
      return
    }
  }
}

const nothing: HelperWord = { line: '', matches: null, user: '', tag: '', message: '', log: '', notes: [] }

/** Keys with a meaning of their own; `password=` is nobody's business. */
const own = new Set(['user', 'tag', 'message', 'log', 'password', 'ttl', 'error'])

/** Null: nobody could say, which is not remembered. */
const wordOf = (line: string, answer: HelperAnswer): HelperWord | null => {
  if (!answer.ok) return null
  const { result, values, pairs } = parseReply(answer.text)
  if (result !== 'OK' && result !== 'ERR') return null
  const value = (key: string): string => values.get(key) ?? ''
  return {
    line,
    matches: result === 'OK',
    user: value('user'), tag: value('tag'), message: value('message') || value('error'), log: value('log'),
    notes: pairs.filter((_, i) => !own.has(pairs[i - (i % 2)] ?? '')),
  }
}

/** Squid's words from before there were codes. */
const formerWords: Readonly<Record<string, string>> = {
  LOGIN: '%ul', EXT_USER: '%ue', EXT_LOG: '%ea', EXT_TAG: '%et', TAG: '%et',
  SRC: '%>a', SRCPORT: '%>p', SRCEUI48: '%>eui', SRCEUI64: '%>eui', MYADDR: '%>la', MYPORT: '%>lp',
  URI: '%>ru', DST: '%>rd', PROTO: '%>rs', PORT: '%>rP', PATH: '%>rp', METHOD: '%>rm',
  IDENT: '-', USER_CERT: '-', USER_CERTCHAIN: '-',
}

const piecesOf = (line: ExternalAclType, problems: Diagnostic[]): readonly Piece[] => {
  const pieces = line.format.map((word): Piece => {
    const name = word.slice(1)
    if (name === 'DATA') return 'data'
    if (name === 'ACL') return 'acl'
    if (name === '%') return '%'
    // %>{Field}, and %{Field} of old: a field of the request
    const field = /^>?\{([^}]*)\}$/.exec(name)?.[1]
    return formatted(field !== undefined ? `%{${field}}>h` : (formerWords[name] ?? word), line, problems)
  })
  return pieces.includes('data') ? pieces : [...pieces, 'data']
}

const formatted = (code: string, line: ExternalAclType, problems: Diagnostic[]): Piece => {
  if (!code.startsWith('%')) return code
  const format = compileText(code, 'url', true)
  for (const { severity, message } of format.problems) problems.push({ severity, at: line.at, message: `external_acl_type: ${message}`, hint: '' })
  return facts => (facts.outcome === null ? '-' : format.text(facts.outcome))
}
