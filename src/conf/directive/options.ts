import type { DurationMs } from '../../base/index.ts'
import { ms } from '../../base/index.ts'
import type { NamedKind, NameUse } from '../config.ts'
import type { Line, Word } from '../line.ts'
import { nearest } from '../nearest.ts'
import { readOnOff, readTime, wholeNumber } from '../values.ts'

// `name=value` words behind the fixed words of a line, in any order. What is wrong is reported by the line, and reading
// goes on, so that one line shows all its faults.

export interface Option {
  readonly name: string
  /** '' when there is no `=`. */
  readonly value: string
  readonly word: Word
}

/** undefined: the line has been told why. */
export type OptionReader<T> = (line: Line, option: Option) => T | undefined

/** The readers of all options a line may have, each for the member it fills. */
export type OptionReaders<T> = { readonly [K in keyof T]?: { readonly name: string; readonly read: OptionReader<T[K]> } }

/** Words without a value. */
export type Flags<T> = Readonly<Record<string, (into: T, line: Line, word: Word) => void>>

/** Fills `into`; an option given twice keeps its last value, and is remarked. */
export const readOptions = <T extends object>(line: Line, into: T, readers: OptionReaders<T>, flags: Flags<T> = {}): void => {
  const byName = new Map<string, (option: Option) => void>()
  for (const key of Object.keys(readers) as (keyof T)[]) {
    const reader = readers[key]
    if (reader === undefined) continue
    byName.set(reader.name, option => {
      const value = reader.read(line, option)
      if (value !== undefined) into[key] = value
    })
  }
  const seen = new Set<string>()
  for (let word = line.option(); word !== null; word = line.option()) {
    const flag = Object.hasOwn(flags, word.text) ? flags[word.text] : undefined
    if (flag !== undefined) {
      flag(into, line, word)
      continue
    }
    const option = optionOf(word)
    const fill = byName.get(option.name)
    if (fill === undefined) {
      const known = [...Object.keys(flags), ...[...byName.keys()].map(name => `${name}=`)]
      const like = nearest(option.value === '' ? option.name : `${option.name}=`, known)
      const hint = known.length === 0 ? 'it has none' : like === null ? `options are ${known.join(', ')}` : `did you mean ${like}?`
      line.fatal(`${line.name}: unknown option '${word.text}'`, word, hint)
      continue
    }
    if (seen.has(option.name)) line.warning(`${line.name}: ${option.name} is given again; this one holds`, word)
    seen.add(option.name)
    if (option.value === '') line.fatal(`${line.name}: option '${option.name}' needs a value`, word, `write ${option.name}=...`)
    else fill(option)
  }
}

const optionOf = (word: Word): Option => {
  const equals = word.text.indexOf('=')
  return equals < 0
    ? { name: word.text, value: '', word }
    : { name: word.text.slice(0, equals), value: word.text.slice(equals + 1), word }
}

export const onOffOption: OptionReader<boolean> = (line, { name, value, word }) => {
  const read = readOnOff(value)
  if (read.ok) return read.value
  line.fatal(`${line.name}: ${name}: ${read.message}`, word, read.hint)
  return undefined
}

/** A time without blanks: 30s, 500ms, 5minutes. 0 is Infinity where it means "for ever". */
export const timeOption =
  (zero: 'refused' | 'forever'): OptionReader<DurationMs> =>
  (line, { name, value, word }) => {
    const read = readTime(value, undefined, 1000, 1)
    if (!read.ok) {
      line.fatal(`${line.name}: ${name}: ${read.message}`, word, read.hint)
      return undefined
    }
    // glued is how options are written; that there is no unit at all is worth a word
    if (read.remark !== undefined && /^\d+$/.test(value)) line.warning(`${line.name}: ${name}: ${read.remark.message}`, word, read.remark.hint)
    if (read.value > 0) return ms(read.value)
    if (zero === 'forever') return ms(Number.POSITIVE_INFINITY)
    line.fatal(`${line.name}: ${name} must be more than 0`, word)
    return undefined
  }

export const numberOption =
  (min: number, max: number): OptionReader<number> =>
  (line, { name, value, word }) => {
    const number = wholeNumber(value)
    if (number !== null && number >= min && number <= max) return number
    line.fatal(`${line.name}: ${name} is a number from ${min} to ${max}, got '${value}'`, word)
    return undefined
  }

export const choiceOption =
  <const W extends string>(...words: readonly [W, ...W[]]): OptionReader<W> =>
  (line, { name, value, word }) => {
    const found = words.find(w => w === value)
    if (found === undefined) {
      const like = nearest(value, words)
      line.fatal(`${line.name}: ${name} is ${words.join(', ')}, got '${value}'`, word, like === null ? '' : `did you mean ${like}?`)
    }
    return found
  }

/** The name of another line. */
export const nameOption =
  (kind: NamedKind, uses: NameUse[]): OptionReader<string> =>
  (line, { value, word }) => {
    uses.push({ kind, name: value, at: line.at(word) })
    return value
  }

/** Names of other lines, with commas. */
export const namesOption =
  (kind: NamedKind, uses: NameUse[]): OptionReader<readonly string[]> =>
  (line, { value, word }) => {
    const names = value.split(',').filter(name => name !== '')
    for (const name of names) uses.push({ kind, name, at: line.at(word) })
    return names
  }

/** Anything; in quotes when it has blanks. */
export const textOption: OptionReader<string> = (_line, { value }) => value
