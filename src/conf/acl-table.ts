import { type AclType, aclTypeName, aclTypes, builtInAcls } from './acl-types.ts'
import { createHash } from 'node:crypto'
import type { AclDefinition, AclUse, AclValue, ForgottenList, Location, LogFormat } from './config.ts'
import type { Findings } from './findings.ts'
import type { Line, Word } from './line.ts'
import { FileValue, readListFile } from './list-file.ts'
import { nearest } from './nearest.ts'
import { canonicalNetwork } from './network.ts'

// `acl NAME TYPE [flags] values`: the definitions of a conf, and who uses them. Names know no case. Lines of one name add
// up; its type stays. An ACL must stand above its first use, as in Squid; the place below is named when there is one.

interface Definition extends AclDefinition {
  readonly flags: string[]
  values: AclValue[]
  forgotten?: readonly ForgottenList[]
  argument: AclValue | null
  at: Location
}

interface EarlyUse {
  readonly name: string
  readonly at: Location
}

const builtInPlace: Location = { file: '(built in)', line: 0, column: 0, from: null }

export class AclTable {
  readonly #byName = new Map<string, Definition>()
  readonly #list: Definition[] = []
  readonly #used = new Set<string>()
  readonly #early: EarlyUse[] = []
  /** Names whose line could not be read. */
  readonly #spoiled = new Set<string>()

  constructor() {
    for (const { name, type, values } of builtInAcls) {
      this.#add({
        name,
        type,
        flags: [],
        argument: null,
        values: values.map(text => ({ text, at: builtInPlace, caseInsensitive: false })),
        builtIn: true,
        at: builtInPlace,
      })
    }
  }

  get definitions(): readonly AclDefinition[] {
    return this.#list
  }

  /** Own ACLs that no line uses. */
  get unused(): readonly AclDefinition[] {
    return this.#list.filter(d => !d.builtIn && !this.#used.has(d.name.toLowerCase()))
  }

  isDefined(name: string): boolean {
    return this.#byName.has(name.toLowerCase())
  }

  definition(name: string): AclDefinition | undefined {
    return this.#byName.get(name.toLowerCase())
  }

  typeOf(name: string): AclType | undefined {
    const definition = this.#byName.get(name.toLowerCase())
    return definition === undefined ? undefined : aclTypes[definition.type]
  }

  /** `name` or `!name` in a rule. An unknown one is reported when the whole conf has been read. */
  use(word: Word, line: Line): AclUse {
    const negated = word.text.startsWith('!')
    const name = negated ? word.text.slice(1) : word.text
    const key = name.toLowerCase()
    const definition = this.#byName.get(key)
    this.#used.add(key)
    if (definition === undefined) this.#early.push({ name, at: line.at(word) })
    return { name: definition?.name ?? name, negated }
  }

  /** A word of a line that is only kept: if it is an ACL's name, the ACL has a use. */
  touch(word: string): void {
    this.#used.add(word.replace(/^!/, '').toLowerCase())
  }

  /** The line that defines it was refused: that has been said, and is not said again at every use. */
  spoil(name: string): void {
    this.#spoiled.add(name.toLowerCase())
  }

  /** In lower case. */
  get spoiled(): ReadonlySet<string> {
    return this.#spoiled
  }

  /** After the last line. */
  reportUnknown(findings: Findings, formats: ReadonlyMap<string, LogFormat>): void {
    for (const { name, at } of this.#early) {
      if (this.#spoiled.has(name.toLowerCase())) continue
      const below = this.#byName.get(name.toLowerCase())
      if (below !== undefined) {
        findings.fatal(
          at,
          `ACL not found: ${name}`,
          `it is defined below, at ${below.at.file}:${below.at.line}: move that line up`,
        )
        continue
      }
      const format = formats.get(name) // the second word of an access_log line may have been meant as one
      if (format !== undefined) {
        findings.fatal(
          at,
          `ACL not found: ${name}`,
          `the logformat of that name is defined below, at ${format.at.file}:${format.at.line}: move that line up`,
        )
        continue
      }
      const like =
        name === ''
          ? null
          : nearest(
              name,
              this.#list.map(d => d.name),
            )
      findings.fatal(
        at,
        `ACL not found: ${name}`,
        like === null ? `define it above: acl ${name || 'NAME'} TYPE values` : `did you mean ${like}?`,
      )
    }
  }

  /** Reads one `acl` line. */
  define(line: Line): void {
    const nameWord = line.next()
    const typeWord = line.next()
    if (nameWord === null) return line.fatal('aclParseAclLine: missing ACL name', null, 'acl NAME TYPE values')
    if (typeWord === null)
      return line.fatal(`aclParseAclLine: missing type of ACL '${nameWord.text}'`, nameWord, 'acl NAME TYPE values')
    if (nameWord.text.startsWith('!')) return line.fatal("an ACL's name cannot begin with '!'", nameWord)
    if (isOldManager(nameWord, typeWord, line)) return
    const typeName = aclTypeName(typeWord.text)
    if (typeName === null) {
      this.spoil(nameWord.text)
      return unknownType(line, typeWord)
    }
    const definition = this.#begin(line, nameWord, typeWord, typeName)
    if (definition !== null) this.#read(line, definition)
  }

  #begin(line: Line, name: Word, typeWord: Word, type: string): Definition | null {
    const known = this.#byName.get(name.text.toLowerCase())
    if (known === undefined) {
      if (aclTypes[type]?.retired) {
        line.warning(`ACL type '${type}' no longer exists: '${name.text}' never matches`, typeWord)
      }
      return this.#add({
        name: name.text,
        type,
        flags: [],
        argument: null,
        values: [],
        builtIn: false,
        at: line.at(name),
      })
    }
    if (known.type === type) return known
    const where = known.builtIn ? 'built in' : `defined at ${known.at.file}:${known.at.line}`
    line.fatal(
      `aclParseAclLine: ACL '${name.text}' already exists with different type.`,
      typeWord,
      `'${known.name}' is ${where} as '${known.type}': take another name`,
    )
    return null
  }

  #read(line: Line, definition: Definition): void {
    const type = aclTypes[definition.type]
    if (type === undefined) return
    const before = definition.values.length
    const refusals = line.scope.findings.refusals
    let caseInsensitive = false
    let flags = true // options may still come
    let argument = type.argument // options may stand on both sides of it
    for (
      let word = line.listed(type.values === 'regex');
      word !== null;
      word = line.listed(type.values === 'regex')
    ) {
      if (!word.isFile && !word.quoted && (flags || type.values === 'regex')) {
        if (word.text === '-i' || word.text === '+i') {
          if (!type.flags.includes(word.text))
            line.fatal(`ACL type '${definition.type}' has no option ${word.text}`, word)
          caseInsensitive = word.text === '-i'
          continue
        }
        if (flags && word.text === '--') {
          flags = false
          continue
        }
        if (flags && word.text.startsWith('-') && isFlag(word.text)) {
          readFlag(line, definition, type, word)
          continue
        }
      }
      if (argument !== undefined) {
        if (!takeArgument(line, definition, word)) return
        argument = undefined
        continue
      }
      flags = false
      if (type.values === 'names') this.#name(line, definition, word)
      else if (word.isFile) readList(line, definition, word, caseInsensitive, type.flags.includes('-i'))
      else addValue(line, definition, { text: word.text, at: line.at(word), caseInsensitive })
    }
    if (argument !== undefined) {
      if (definition.argument === null) this.#drop(definition) // whoever compiles it would say the same again
      return line.fatal(`ACL type '${definition.type}' needs ${argument} first`)
    }
    if (
      definition.values.length === before
      && !definition.builtIn
      && !type.mayBeEmpty
      && line.scope.findings.refusals === refusals
    ) {
      line.warning(`empty ACL: ${line.text}`, null, 'it matches nothing')
    }
  }

  /** An ACL named by another one, in the spelling of its definition. */
  #name(line: Line, definition: Definition, word: Word): void {
    if (word.isFile) return line.fatal('ACL names do not come from a file', word, 'write them in the line')
    const { name, negated } = this.use(word, line)
    addValue(line, definition, { text: negated ? `!${name}` : name, at: line.at(word), caseInsensitive: false })
  }

  #drop(definition: Definition): void {
    this.spoil(definition.name)
    this.#byName.delete(definition.name.toLowerCase())
    this.#list.splice(this.#list.indexOf(definition), 1)
  }

  #add(definition: Definition): Definition {
    this.#byName.set(definition.name.toLowerCase(), definition)
    this.#list.push(definition)
    return definition
  }
}

/** Squid 2.6 to 3.1 had the manager as a scheme. The built-in one knows today's pages. */
const isOldManager = (name: Word, type: Word, line: Line): boolean => {
  if (name.text.toLowerCase() !== 'manager' || type.text !== 'proto') return false
  line.note("'acl manager proto cache_object' is left out: manager is built in", name, 'remove the line')
  while (line.next() !== null);
  return true
}

const unknownType = (line: Line, word: Word): void => {
  const names = Object.keys(aclTypes)
  const like = nearest(word.text, names)
  line.fatal(`invalid ACL type '${word.text}'`, word, like === null ? '' : `did you mean ${like}?`)
}

/** `-x`, `-x=...` or `--words`: a lone `-` or a regex such as `-[0-9]` is a value. */
const isFlag = (text: string): boolean => /^-[a-zA-Z](?:=.*)?$|^--[a-z-]+$|^-sha1$/.test(text)

const readFlag = (line: Line, definition: Definition, type: AclType, word: Word): void => {
  const bare = word.text.replace(/=.*$/, '')
  if (!type.flags.includes(bare)) {
    line.fatal(
      `ACL type '${definition.type}' has no option ${word.text}`,
      word,
      'write -- before values that begin with a minus',
    )
    return
  }
  const exclusive = (flag: string) => flag.startsWith('--')
  if (exclusive(word.text) && definition.flags.some(f => exclusive(f) && f !== word.text)) {
    line.fatal(`only one of ${type.flags.filter(exclusive).join(', ')} is possible`, word)
  }
  if (!definition.flags.includes(word.text)) definition.flags.push(word.text)
}

const takeArgument = (line: Line, definition: Definition, word: Word): boolean => {
  if (definition.argument === null) {
    definition.argument = { text: word.text, at: line.at(word), caseInsensitive: false }
    return true
  }
  if (definition.argument.text.toLowerCase() === word.text.toLowerCase()) return true
  line.fatal(`ACL '${definition.name}' already looks at '${definition.argument.text}'`, word, 'take another name')
  return false
}

/** `-i` and `+i` also work in a file. */
const readList = (line: Line, definition: Definition, word: Word, insensitive: boolean, mayTurn: boolean): void => {
  let caseInsensitive = insensitive
  readListFile(line, word, 'an ACL without its list would match nothing', (text, list, number) => {
    if (mayTurn && (text === '-i' || text === '+i')) caseInsensitive = text === '-i'
    else addValue(line, definition, new FileValue(text, caseInsensitive, list, number))
  })
}

/** Redeclaring a built-in ACL is common and mostly says what it says already. */
const addValue = (line: Line, definition: Definition, value: AclValue): void => {
  if (definition.builtIn) {
    if (saysNothingNew(definition, value.text)) return
    if (definition.at === builtInPlace) {
      definition.at = line.at()
      line.note(`adds to the built-in ACL '${definition.name}'`, null, 'take another name if that is not meant')
    }
  } else if (looksLikeFile(definition.type, value.text)) {
    line.scope.findings.warning(
      value.at,
      `'${value.text}' is read as a value, not as a file`,
      `did you mean "${value.text}"?`,
    )
  }
  definition.values.push(value)
}

const saysNothingNew = (definition: Definition, text: string): boolean => {
  if (definition.name === 'all') return true
  if (definition.name === 'manager' && /^\^cache_object:/.test(text)) return true // that scheme is gone
  const network = definition.type === 'src' || definition.type === 'dst' ? canonicalNetwork(text) : text
  return definition.values.some(v => v.text === text || (network !== null && canonicalNetwork(v.text) === network))
}

const fileTypes = ['src', 'dst', 'localip', 'srcdomain', 'dstdomain', 'ssl::server_name', 'proxy_auth']

const looksLikeFile = (type: string, text: string): boolean =>
  fileTypes.includes(type)
  && (/\.(txt|list|lst|acl|conf|dat)$/i.test(text) || (/^\.{0,2}\//.test(text) && !text.includes('://')))

/** `NAME TYPE ...` of everything the file said; values of list files stand in the line. */
export const writtenAcls = (definitions: readonly AclDefinition[]): string[] => {
  const lines: string[] = []
  for (const d of definitions) {
    const own = d.values.filter(v => v.at !== builtInPlace)
    if (d.builtIn && own.length === 0) continue
    const words = [d.name, d.type, ...(d.argument === null ? [] : [d.argument.text]), ...d.flags]
    if (own.some(v => /^[-+]/.test(v.text)) && aclTypes[d.type]?.values !== 'regex') words.push('--')
    let caseInsensitive = false
    for (const value of own) {
      if (value.caseInsensitive !== caseInsensitive) words.push(value.caseInsensitive ? '-i' : '+i')
      caseInsensitive = value.caseInsensitive
      words.push(aclTypes[d.type]?.values === 'regex' ? value.text.replaceAll(' ', '\\ ') : value.text)
    }
    const lists = d.forgotten ?? []
    for (const list of lists) {
      if (list.caseInsensitive !== caseInsensitive) words.push(list.caseInsensitive ? '-i' : '+i')
      caseInsensitive = list.caseInsensitive
      words.push(`"${list.file}"`)
    }
    if (lists.length > 0) words.push('#', lists.map(list => `${list.count} values, ${list.digest}`).join('; '))
    lines.push(words.join(' '))
  }
  return lines
}

/** ACLs with more values from files than this let them go: a million would be 200 MB that nobody asks for any more. */
const keptMax = 10_000

/**
 * For a conf that has been compiled: what the lists said is in the sets now. True = there was something to be let go.
 * What is written of such an ACL names its files, with a digest that differs when their values do.
 */
export const forgetLists = (definitions: readonly AclDefinition[]): boolean => {
  let some = false
  for (const definition of definitions as readonly Definition[]) { // all definitions are made here
    const listed = definition.values.filter(value => value instanceof FileValue)
    if (listed.length <= keptMax) continue
    definition.values = definition.values.filter(value => !(value instanceof FileValue))
    definition.forgotten = [...(definition.forgotten ?? []), ...forgottenLists(listed)]
    some = true
  }
  return some
}

const forgottenLists = (values: readonly FileValue[]): ForgottenList[] => {
  const lists: ForgottenList[] = []
  for (let from = 0; from < values.length; ) {
    const { file, caseInsensitive } = values[from] as FileValue // within by the loop
    const hash = createHash('sha256')
    let to = from
    for (; to < values.length && values[to]?.file === file && values[to]?.caseInsensitive === caseInsensitive; to++) {
      hash.update(`${values[to]?.text}\n`)
    }
    lists.push({ file, caseInsensitive, count: to - from, digest: hash.digest('hex').slice(0, 16) })
    from = to
  }
  return lists
}
