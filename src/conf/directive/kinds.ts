import { type Bytes, bytes, type DurationMs, ms, type Seconds, seconds } from '../../base/index.ts'
import type { KeptLine } from '../config.ts'
import type { Line, Word } from '../line.ts'
import { nearest } from '../nearest.ts'
import { readOnOff, readPercent, readSize, readTime, sizeText, timeText, type Value, wholeNumber } from '../values.ts'
import type { Kind } from './directive.ts'

// Kinds used by many directives. Those of one directive stand beside it.

/** The next word, or the complaint that it is missing. */
export const needWord = (line: Line, expected: string): Word | undefined => {
  const word = line.next()
  if (word !== null) return word
  line.fatal(`${line.name} needs ${expected}`)
  return undefined
}

/** Reports what a value reader found, and steps over a unit it used up. */
export const take = <T>(line: Line, word: Word, value: Value<T>): T | undefined => {
  if (!value.ok) {
    line.fatal(`${line.name}: ${value.message}`, word, value.hint)
    return undefined
  }
  if (value.remark?.severity === 'warning')
    line.warning(`${line.name}: ${value.remark.message}`, word, value.remark.hint)
  if (value.remark?.severity === 'note') line.note(`${line.name}: ${value.remark.message}`, word, value.remark.hint)
  if (value.words === 2) line.next()
  return value.value
}

export const onOff = (): Kind<boolean> => ({
  grammar: 'on|off',
  limits: '',
  initial: false,
  read(line) {
    const word = needWord(line, "'on' or 'off'")
    return word && take(line, word, readOnOff(word.text))
  },
  write: value => [value ? 'on' : 'off'],
})

/** One of a few words; `also` are other spellings of them. */
export const choice = <const W extends string>(
  words: readonly [W, ...W[]],
  also: Readonly<Record<string, W>> = {},
): Kind<W> => ({
  grammar: words.join('|'),
  limits: '',
  initial: words[0],
  read(line) {
    const word = needWord(line, `one of ${words.join(', ')}`)
    if (word === undefined) return undefined
    const found = words.find(w => w === word.text) ?? (Object.hasOwn(also, word.text) ? also[word.text] : undefined)
    if (found === undefined) {
      const like = nearest(word.text, words)
      line.fatal(
        `${line.name}: expecting one of ${words.join(', ')}, got '${word.text}'`,
        word,
        like === null ? '' : `did you mean ${like}?`,
      )
    }
    return found
  },
  write: value => [value],
})

interface Range {
  readonly min?: number
  readonly max?: number
}

const intMax = 0x7fffffff

/** A whole number, also 0x1f and 017. */
export const count = ({ min = 0, max = intMax }: Range = {}): Kind<number> => ({
  grammar: 'NUMBER',
  limits: max === intMax ? (min === 0 ? '' : `at least ${min}`) : `${min} to ${max}`,
  initial: Math.max(min, 0),
  read(line) {
    const word = needWord(line, 'a number')
    if (word === undefined) return undefined
    const number = wholeNumber(word.text)
    if (number === null) line.fatal(`${line.name}: expecting a whole number, got '${word.text}'`, word)
    else if (number < min || number > max) line.fatal(`${line.name}: ${number} is not within ${min} to ${max}`, word)
    else return number
    return undefined
  },
  write: value => [String(value)],
})

export const percent = (max = 100): Kind<number> => ({
  grammar: 'PERCENT',
  limits: `0 to ${max}`,
  initial: 0,
  read(line) {
    const word = needWord(line, 'a percentage')
    const value = word && take(line, word, readPercent(word.text))
    if (value !== undefined && value > max) {
      line.fatal(`${line.name}: ${value} is not within 0 to ${max}`, word ?? null)
      return undefined
    }
    return value
  },
  write: value => [String(value)],
})

interface SizeOptions {
  readonly min?: Bytes
  readonly max?: Bytes
  /** A bare number counts these. */
  readonly unit?: Bytes
  /** Words that mean "no limit", Infinity. */
  readonly unlimited?: readonly ('0' | '-1' | 'none')[]
}

export const size = ({
  min = bytes(0),
  max = bytes(Number.MAX_SAFE_INTEGER),
  unit = bytes(1),
  unlimited = [],
}: SizeOptions = {}): Kind<Bytes> => ({
  grammar: unlimited.includes('none') ? 'SIZE|none' : 'SIZE',
  limits: [
    min > 0 ? `at least ${sizeText(min)}` : '',
    max < Number.MAX_SAFE_INTEGER ? `at most ${sizeText(max)}` : '',
    unlimited.length > 0 ? `${unlimited.join(' or ')}: no limit` : '',
  ]
    .filter(Boolean)
    .join('; '),
  initial: min,
  read(line) {
    const word = needWord(line, 'a size')
    if (word === undefined) return undefined
    if (unlimited.some(w => w !== '0' && w === word.text)) {
      if (word.text === '-1' && isUnit(line.peek())) line.next()
      return bytes(Infinity)
    }
    const value = take(line, word, readSize(word.text, line.peek()?.text, unit))
    if (value === undefined) return undefined
    if (value === 0 && unlimited.includes('0')) return bytes(Infinity)
    if (value >= min && value <= max) return value
    line.fatal(`${line.name}: ${sizeText(value)} is not within ${sizeText(min)} to ${sizeText(max)}`, word)
    return undefined
  },
  write: value => [value === Infinity ? (unlimited[0] === '0' ? '0 KB' : (unlimited[0] ?? 'none')) : sizeText(value)],
})

const isUnit = (word: Word | null): boolean => word !== null && /^(bytes|[kmg]b)$/i.test(word.text)

interface TimeOptions {
  /** What a bare number counts; 1 second unless said. */
  readonly unit?: number
  /** Smallest value, in milliseconds. */
  readonly min?: number
  /** 0 means "no limit", Infinity. */
  readonly zeroIsUnlimited?: boolean
}

const timeKind = <T extends number>(
  finest: number,
  make: (ms: number) => T,
  msOf: (value: T) => number,
  options: TimeOptions,
): Kind<T> => {
  const { unit = 1000, min = 0, zeroIsUnlimited = false } = options
  return {
    grammar: 'TIME',
    limits: [
      min === 1 ? 'more than 0' : min > 0 ? `at least ${timeText(min)}` : '',
      zeroIsUnlimited ? '0: no limit' : '',
    ]
      .filter(Boolean)
      .join('; '),
    initial: make(min),
    read(line) {
      const word = needWord(line, 'a time')
      const value = word && take(line, word, readTime(word.text, line.peek()?.text, unit, finest))
      if (value === undefined) return undefined
      if (value === 0 && zeroIsUnlimited) return make(Infinity)
      if (value >= min) return make(value)
      line.fatal(`${line.name}: ${timeText(value)} is too short, at least ${timeText(min)} is needed`, word ?? null)
      return undefined
    },
    write: value => [value === Infinity ? '0 seconds' : timeText(msOf(value))],
  }
}

/** A time-out: milliseconds inside. */
export const duration = (options: TimeOptions = {}): Kind<DurationMs> => timeKind(1, ms, value => value, options)

/** An age or lifetime: whole seconds inside. */
export const age = (options: TimeOptions = {}): Kind<Seconds> =>
  timeKind(
    1000,
    value => seconds(value / 1000),
    value => value * 1000,
    options,
  )

/** One word. */
export const word = (grammar: string, initial = ''): Kind<string> => ({
  grammar,
  limits: '',
  initial,
  read: line => needWord(line, grammar)?.text,
  write: value => (value === '' ? [] : [value]),
})

/** One word, or `none`. */
export const wordOrNone = (grammar: string): Kind<string | null> => ({
  grammar: `${grammar}|none`,
  limits: '',
  initial: null,
  read(line) {
    const text = needWord(line, grammar)?.text
    return text === 'none' ? null : text
  },
  write: value => [value ?? 'none'],
})

/** The rest of the line as it stands. */
export const text = (grammar: string): Kind<string> => ({
  grammar,
  limits: '',
  initial: '',
  read(line) {
    const rest = line.rest()
    if (rest.text !== '') return rest.text
    line.fatal(`${line.name} needs ${grammar}`)
    return undefined
  },
  write: value => (value === '' ? [] : [value]),
})

/** Words, and those of further lines. */
export const words = (grammar: string): Kind<readonly string[]> => ({
  grammar,
  limits: '',
  initial: [],
  read(line, before) {
    const first = needWord(line, grammar)
    if (first === undefined) return undefined
    const found = [...before, first.text]
    for (let next = line.next(); next !== null; next = line.next()) found.push(next.text)
    return found
  },
  write: value => (value.length === 0 ? [] : [value.join(' ')]),
})

/** A list with one entry per line, which remembers its text. */
export const lines = <T extends { readonly text: string }>(
  grammar: string,
  readOne: (line: Line) => T | null | undefined,
  limits = '',
): Kind<readonly T[]> => ({
  grammar,
  limits,
  initial: [],
  read(line, before) {
    const one = readOne(line)
    // null: the line says nothing, which has been remarked
    return one === undefined ? undefined : one === null ? before : [...before, one]
  },
  write: value => value.map(v => v.text.replace(/^\S+\s*/, '')),
})

/** Lines whose reading belongs to a feature that is not there yet: kept as they stand. */
export const kept = (grammar: string): Kind<readonly KeptLine[]> =>
  lines(grammar, line => {
    const at = line.here()
    const rest = line.rest()
    if (rest.text === '') {
      line.fatal(`${line.name} needs ${grammar}`)
      return undefined
    }
    for (const w of rest.text.split(/[ \t]+/)) line.scope.acls.touch(w)
    return { text: line.read, at }
  })
