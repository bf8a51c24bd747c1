import type { NamedLine, NameUse } from '../config.ts'
import type { Line, Word } from '../line.ts'
import { nearest } from '../nearest.ts'

// Lines that define a name other lines use: what they begin with.

export const refused = (line: Line, word: Word | null, message: string, hint = ''): undefined => {
  line.fatal(`${line.name}: ${message}`, word, hint)
  return undefined
}

/** Everything a log line, a command or another line can hold as one word. */
export const properName = /^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,63}$/

export const readName = (line: Line, grammar: string): string | undefined => {
  const word = line.next()
  if (word === null) return refused(line, null, `needs ${grammar}`)
  if (properName.test(word.text)) return word.text
  return refused(line, word, `'${word.text}' is no proper name`, 'letters, digits, _ . : and -, at most 64 of them')
}

/** One of the words a line goes on with. */
export const readChoice = <W extends string>(line: Line, what: string, words: readonly W[]): W | undefined => {
  const word = line.next()
  const known = words.join(', ')
  if (word === null) return refused(line, null, `needs ${what}: ${known}`)
  const found = words.find(w => w === word.text)
  if (found !== undefined) return found
  const like = nearest(word.text, words)
  return refused(line, word, `'${word.text}' is no ${what}`, like === null ? `there are ${known}` : `did you mean ${like}?`)
}

export const named = (line: Line, name: string, uses: readonly NameUse[]): NamedLine => ({
  name,
  uses,
  text: line.read,
  at: line.at(),
})
