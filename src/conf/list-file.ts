import type { AclValue, Location } from './config.ts'
import type { Line, Word } from './line.ts'
import { readErrorText } from './world.ts'

// Files of values, one per line, that a line names in quotes.

export interface ListFile {
  readonly file: string
  /** The word that names it. */
  readonly from: Location
}

/** A value of a list file. A million of them are normal: the place is made when somebody asks. */
export class FileValue implements AclValue {
  readonly text: string
  readonly caseInsensitive: boolean
  readonly #list: ListFile
  readonly #line: number

  constructor(text: string, caseInsensitive: boolean, list: ListFile, line: number) {
    this.text = text
    this.caseInsensitive = caseInsensitive
    this.#list = list
    this.#line = line
  }

  get file(): string {
    return this.#list.file
  }

  get at(): Location {
    return { file: this.#list.file, line: this.#line, column: 1, from: this.#list.from }
  }
}

/** Blanks inside a value are kept; empty lines and comments are skipped. A file that cannot be read is an error. */
export const readListFile = (
  line: Line,
  word: Word,
  hint: string,
  take: (text: string, list: ListFile, number: number) => void,
): void => {
  let text: string
  try {
    text = line.scope.world.readFile(word.text)
  } catch (error) {
    line.error(`Can not open file ${word.text} for reading: ${readErrorText(error)}`, word, hint)
    return
  }
  const list = { file: word.text, from: line.at(word) }
  let number = 0
  for (const raw of text.split('\n')) {
    number++
    const value = listValue(number === 1 && raw.startsWith('\ufeff') ? raw.slice(1) : raw)
    if (value !== '') take(value, list, number)
  }
}

const listValue = (raw: string): string => {
  const text = raw.trim()
  if (text.startsWith('#')) return ''
  const comment = text.search(/[ \t]#/)
  return comment < 0 ? text : text.slice(0, comment).trimEnd()
}
