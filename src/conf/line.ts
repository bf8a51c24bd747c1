import type { AclTable } from './acl-table.ts'
import type { Location, LogFormat } from './config.ts'
import type { Findings } from './findings.ts'
import { blanksAt, isBlank, type LogicalLine } from './lexer.ts'
import type { ConfWorld } from './world.ts'

/** What lines know of each other while a conf is read. */
export interface Scope {
  readonly findings: Findings
  readonly world: ConfWorld
  readonly acls: AclTable
  readonly formats: Map<string, LogFormat>
  /** configuration_includes_quoted_values, from its line on. */
  quotedValues: boolean
  /** emulate_httpd_log on: access_log lines that name no format. */
  commonByDefault: boolean
}

export interface Word {
  readonly text: string
  /** Where it begins in the line. */
  readonly offset: number
  /** It was written in quotes (quoted values only). */
  readonly quoted: boolean
  /** `"file"` or parameters("file") in a list of values: the values stand in that file. */
  readonly isFile: boolean
}

/** A directive's line, read word by word. */
export class Line {
  readonly name: string
  readonly scope: Scope
  readonly #line: LogicalLine
  #offset: number

  constructor(line: LogicalLine, scope: Scope) {
    this.scope = scope
    this.#line = line
    this.#offset = line.text.length
    const end = line.text.search(/[ \t]/)
    this.name = end < 0 ? line.text : line.text.slice(0, end)
    this.#offset = this.name.length
  }

  /** The whole line, blanks at the end cut. */
  get text(): string {
    return this.#line.text.trimEnd()
  }

  /** What has been read so far, from the name on: without the comment when all has. */
  get read(): string {
    return this.#line.text.slice(0, this.#offset).trimEnd()
  }

  at(word?: Word | null): Location {
    return this.#line.at(word?.offset ?? 0)
  }

  /** Where the next word would stand. */
  here(): Location {
    return this.#line.at(Math.min(blanksAt(this.#line.text, this.#offset), this.#line.text.length))
  }

  next(): Word | null {
    const start = this.#start()
    if (start < 0) return null
    const text = this.#line.text
    if (this.scope.quotedValues)
      return text[start] === '"' || text[start] === "'" ? this.#quoted(start) : this.#bare(start)
    let end = start
    while (end < text.length && !isBlank(text[end])) end++
    this.#offset = end
    return { text: text.slice(start, end), offset: start, quoted: false, isFile: false }
  }

  /** The next word, which may stand in quotes of either kind to hold blanks; they are taken off. Inside, `\"` is a quote. */
  quotable(): Word | null {
    const start = this.#start()
    if (start < 0) return null
    const first = this.#line.text[start]
    return first === '"' || first === "'" ? this.#quoted(start) : this.next()
  }

  /** The next word, in which `name="..."` may hold blanks; the quotes are taken off. `\"` is a quote inside them. */
  option(): Word | null {
    const start = this.#start()
    if (start < 0) return null
    const found = /^[A-Za-z0-9_]+="((?:[^"\\]|\\.)*)"(?=[ \t]|$)/.exec(this.#line.text.slice(start))
    if (found === null || found[1] === undefined) {
      const word = this.next()
      if (word !== null && /^[A-Za-z0-9_]+="/.test(word.text)) this.fatal('the closing quote of the value is missing', word)
      return word
    }
    this.#offset = start + found[0].length
    const value = found[1].replace(/\\(["\\])/g, '$1')
    return { text: `${found[0].slice(0, found[0].indexOf('=') + 1)}${value}`, offset: start, quoted: true, isFile: false }
  }

  peek(): Word | null {
    const offset = this.#offset
    // looking must not report a bad word twice
    const before = this.scope.quotedValues
    this.scope.quotedValues = false
    const word = this.next()
    this.scope.quotedValues = before
    this.#offset = offset
    return word
  }

  /** A regex: `\ ` is a blank inside it. */
  regex(): Word | null {
    const start = this.#start()
    if (start < 0) return null
    if (this.scope.quotedValues) {
      this.fatal(
        'Can not read regex expression while configuration_includes_quoted_values is enabled',
        this.peek(),
        'switch it off before this line and on again after it',
      )
      this.#offset = this.#line.text.length
      return null
    }
    const text = this.#line.text
    let end = start
    while (end < text.length && !isBlank(text[end])) end += text[end] === '\\' && end + 1 < text.length ? 2 : 1
    this.#offset = end
    return { text: text.slice(start, end).replaceAll('\\ ', ' '), offset: start, quoted: false, isFile: false }
  }

  /** One of a list of values, where `"name"` is a file with more of them. */
  listed(regex: boolean): Word | null {
    const start = this.#start()
    if (start < 0) return null
    const first = this.#line.text[start]
    if (first === '"' || first === "'") return this.scope.quotedValues ? this.next() : this.#fileName(start)
    if (this.scope.quotedValues && this.#line.text.startsWith('parameters(', start)) return this.#parameters(start)
    return regex ? this.regex() : this.next()
  }

  /** The rest as it stands, comments and quotes included. */
  rest(): Word {
    const offset = blanksAt(this.#line.text, this.#offset)
    this.#offset = this.#line.text.length
    return { text: this.#line.text.slice(offset).trimEnd(), offset, quoted: false, isFile: false }
  }

  fatal(message: string, word?: Word | null, hint = ''): void {
    this.scope.findings.fatal(this.at(word), message, hint)
  }

  error(message: string, word?: Word | null, hint = ''): void {
    this.scope.findings.error(this.at(word), message, hint)
  }

  warning(message: string, word?: Word | null, hint = ''): void {
    this.scope.findings.warning(this.at(word), message, hint)
  }

  note(message: string, word?: Word | null, hint = ''): void {
    this.scope.findings.note(this.at(word), message, hint)
  }

  /** Offset of the next word, or -1: the end, or a comment. */
  #start(): number {
    const start = blanksAt(this.#line.text, this.#offset)
    return start >= this.#line.text.length || this.#line.text[start] === '#' ? -1 : start
  }

  /** Without quoted values a file name ends at the next quote of either kind. */
  #fileName(start: number): Word {
    const text = this.#line.text
    let end = start + 1
    while (end < text.length && text[end] !== '"' && text[end] !== "'") end++
    const word: Word = { text: text.slice(start + 1, end), offset: start, quoted: false, isFile: true }
    if (end === text.length) this.fatal('the closing quote of the file name is missing', word)
    else if (end + 1 < text.length && !isBlank(text[end + 1]))
      this.fatal('expecting a blank after the closing quote', word)
    this.#offset = Math.min(end + 1, text.length)
    while (this.#offset < text.length && !isBlank(text[this.#offset])) this.#offset++
    return word
  }

  #quoted(start: number): Word {
    const line = this.#line.text
    const quote = line[start]
    let text = ''
    let i = start + 1
    for (; i < line.length && line[i] !== quote; i++) {
      if (line[i] !== '\\') {
        text += line[i]
        continue
      }
      i++
      const c = line[i] ?? ''
      if (c === 'n' || c === 'r' || c === 't') text += c === 'n' ? '\n' : c === 'r' ? '\r' : '\t'
      else if (/^[a-z0-9]$/i.test(c)) {
        this.scope.findings.fatal(
          this.#line.at(i - 1),
          `Unsupported escape sequence '\\${c}'`,
          String.raw`known are \r \n \t and a backslash before anything that is no letter or digit`,
        )
      } else text += c
    }
    const word: Word = { text, offset: start, quoted: true, isFile: false }
    if (i >= line.length) this.fatal('missing quote char at the end of quoted string', word)
    else if (i + 1 < line.length && !/[ \t()#]/.test(line[i + 1] ?? '')) {
      this.fatal('Expecting space after the end of quoted token', word)
    }
    this.#offset = Math.min(i + 1, line.length)
    return word
  }

  /** With quoted values, words without quotes hold little but letters and digits. */
  #bare(start: number): Word {
    const line = this.#line.text
    let end = start
    while (end < line.length && !isBlank(line[end])) end++
    this.#offset = end
    const text = line.slice(start, end)
    const word: Word = { text, offset: start, quoted: false, isFile: false }
    const call = /^([A-Za-z_]\w*)\(/.exec(text)
    const wrong = /[^A-Za-z0-9.,()\-=_/:+]/.exec(text.replace(/^!/, '').replace(/%$/, ''))
    if (call !== null)
      this.fatal(
        `Unknown cfg function '${call[1]}'`,
        word,
        'only parameters("FILE") is known, in a list of ACL values',
      )
    else if (wrong !== null) {
      this.fatal(
        `Not alphanumeric character '${wrong[0]}' in unquoted token '${text}'`,
        word,
        'put the word in quotes',
      )
    }
    return word
  }

  #parameters(start: number): Word | null {
    this.#offset = start + 'parameters('.length
    const word = this.#start() < 0 ? null : this.#quoted(this.#start())
    if (word === null || this.#line.text[this.#offset] !== ')') {
      this.fatal('expecting parameters("FILE")', word)
      this.#offset = this.#line.text.length
      return null
    }
    this.#offset++
    return { ...word, isFile: true }
  }
}
