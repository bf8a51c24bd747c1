import { assert } from '../base/index.ts'
import { AclTable } from './acl-table.ts'
import type { Config, Diagnostic, Location } from './config.ts'
import { families, type Retired } from './directive/directive.ts'
import {
  type AnyDirective,
  type DirectiveName,
  directiveNames,
  directives,
  knownDirective,
} from './directive/index.ts'
import { Findings } from './findings.ts'
import { LogicalLine } from './lexer.ts'
import { Line, type Scope } from './line.ts'
import { lint } from './lint.ts'
import { checkNames } from './name-uses.ts'
import { nearest } from './nearest.ts'
import { type ConfSource, Reader } from './reader.ts'
import type { ConfWorld } from './world.ts'

export interface ParsedConf {
  /** null if anything was refused. */
  readonly config: Config | null
  /** What could be read, for looking on for more faults in the same pass. Never to be used. */
  readonly draft: Config
  readonly diagnostics: readonly Diagnostic[]
  /** What became of each line, included files and list files of ACLs apart: in the order of the lines. */
  readonly fates: readonly LineFate[]
  /** Names, in lower case, of ACLs whose line was refused: to miss them is no news. */
  readonly spoiledAcls: ReadonlySet<string>
}

/** One line of a conf, by its directive. */
export interface LineFate {
  /** As written. */
  readonly name: string
  readonly at: Location
  /**
   * works       does what it says
   * later       read and checked, without effect yet
   * changed     read as the lines of `as`
   * ignored     nothing a proxy of today would do differently
   * refused     nobody knows it (what else is refused stands among the diagnostics)
   */
  readonly fate: 'works' | 'later' | 'changed' | 'ignored' | 'refused'
  readonly as: readonly string[]
}

/** Reads a conf with everything it includes. Never throws, whatever stands in it; all faults are found in one pass. */
export const parseConf = (source: ConfSource, world: ConfWorld): ParsedConf => new Parsing(world).parse(source)

class Parsing {
  readonly #world: ConfWorld
  readonly #findings = new Findings()
  /** In the order of first mention, list files of ACLs too. */
  readonly #files = new Set<string>()
  readonly #scope: Scope
  readonly #values = new Map<DirectiveName, unknown>()
  readonly #firstAt = new Map<DirectiveName, Location>()
  readonly #lastAt = new Map<DirectiveName, Location>()
  /** Lines that have no effect yet, by directive. */
  readonly #later = new Map<DirectiveName, Location>()
  readonly #warned = new Map<string, { readonly at: Location; readonly advice: string }>()
  readonly #oldNames = new Set<string>()
  readonly #fates: LineFate[] = []
  #unknown = 0
  #firstUnknown: Location | null = null

  constructor(world: ConfWorld) {
    const readFile = (path: string): string => {
      const text = world.readFile(path)
      this.#files.add(path)
      return text
    }
    this.#world = { ...world, readFile }
    this.#scope = newScope(this.#world, this.#findings)
  }

  parse(source: ConfSource): ParsedConf {
    if (source.text !== undefined) this.#files.add(source.file)
    for (const line of new Reader(this.#world, this.#findings).lines(source)) this.#line(line)
    this.#scope.acls.reportUnknown(this.#findings, this.#scope.formats)
    const start: Location = { file: source.file, line: 1, column: 1, from: null }
    if (this.#firstUnknown !== null) this.#findings.fatal(this.#firstUnknown, `Found ${this.#unknown} unrecognized directive(s)`)
    const config = this.#config()
    checkNames(config, this.#findings)
    if (this.#files.size > 0) lint(config, this.#scope.acls, this.#findings, start)
    this.#summarise(config)
    return {
      config: this.#findings.refusals > 0 ? null : config,
      draft: config,
      diagnostics: this.#findings.list,
      spoiledAcls: this.#scope.acls.spoiled,
      fates: this.#fates,
    }
  }

  #line(logical: LogicalLine): void {
    const line = new Line(logical, this.#scope)
    this.#fate(line)
    this.#understand(line, logical)
  }

  /** Of a line that `translated` makes, the original tells. */
  #fate(line: Line): void {
    const known = knownDirective(line.name)
    const old = known !== undefined && known.live !== null && line.name !== known.name
    const works = old ? 'changed' : 'works'
    const fate = known === undefined ? 'refused' : known.live === null ? 'ignored' : known.live.status === 'later' ? 'later' : known.live.status === 'accepted' && !old ? 'ignored' : works
    this.#fates.push({ name: line.name, at: line.at(), fate, as: old ? [known.name] : [] })
  }

  #understand(line: Line, logical: LogicalLine): void {
    if (logical.broken) return this.#broken(line)
    const known = knownDirective(line.name)
    if (known === undefined) return this.#unrecognized(line)
    if (known.live === null) return this.#retired(line, logical, known.name, known.retired)
    if (line.name !== known.name && !this.#oldNames.has(line.name)) {
      this.#oldNames.add(line.name)
      line.note(`'${line.name}' is an old name of '${known.name}'`, null, `write ${known.name}`)
    }
    this.#read(line, known.name, known.live)
  }

  /** What the line would have defined is not missed again at every use. */
  #broken(line: Line): void {
    const name = line.next()
    if (line.name === 'acl' && name !== null) this.#scope.acls.spoil(name.text)
  }

  #read(line: Line, name: DirectiveName, directive: AnyDirective): void {
    const isList = Array.isArray(directive.kind.initial) || directive.kind.adds === true
    const first = this.#firstAt.get(name)
    if (first !== undefined && !isList && !switches.includes(name)) {
      line.note(`${name} is given again; what ${placeOf(first, line.at())} says is replaced`)
    }
    if (first === undefined) this.#firstAt.set(name, line.at())
    this.#lastAt.set(name, line.at())
    if (directive.status === 'later' && !this.#later.has(name)) this.#later.set(name, line.at())
    const refusals = this.#findings.refusals
    const value = directive.kind.read(line, this.#values.get(name) ?? directive.kind.initial)
    if (value === undefined) return
    this.#values.set(name, value)
    const extra = line.next()
    if (extra === null || this.#findings.refusals > refusals) return
    const second = knownDirective(extra.text) === undefined ? '' : `'${extra.text}' needs a line of its own`
    line.warning(`'${extra.text}' and what follows is not read`, extra, second)
  }

  #retired(line: Line, logical: LogicalLine, name: string, entry: Retired): void {
    switch (entry.status) {
      case 'silent':
        return
      case 'warned':
        if (!this.#warned.has(line.name)) this.#warned.set(line.name, { at: line.at(), advice: entry.doc })
        return
      case 'rejected':
        return this.#findings.error(
          line.at(),
          `'${line.name}' is no longer a directive; leaving it out would change what this conf means`,
          entry.doc,
        )
      case 'translated': {
        const refusals = this.#findings.refusals
        const modern = entry.translate?.(line) ?? null
        if (modern === null || this.#findings.refusals > refusals) return
        line.note(
          `'${line.name}' is read as: ${modern.length > 0 ? modern.join('; ') : entry.doc}`,
          null,
          'write it that way',
        )
        const at = logical.at(0)
        const own = this.#fates.length - 1
        for (const text of modern) {
          this.#line(
            new LogicalLine(text, logical.source, [{ offset: 0, line: at.line, column: at.column, still: true }]),
          )
        }
        this.#fates.length = own
        this.#fates.push({ name: line.name, at: line.at(), fate: 'changed', as: modern.length > 0 ? modern : [entry.doc] })
        return
      }
    }
    assert(false, `status of ${name}`)
  }

  #unrecognized(line: Line): void {
    const like = nearest(line.name, [...directiveNames(), 'include'])
    const hint = like === null ? '' : `did you mean ${like}?`
    const message = `unrecognized directive near '${line.text.slice(0, 60)}'`
    // an access list that is left out may have been the one that forbids
    if (this.#values.get('unknown_directives') === 'warn' && !line.name.endsWith('_access'))
      return line.warning(message, null, hint)
    this.#unknown++
    this.#firstUnknown ??= line.at()
    line.error(message, null, hint)
  }

  /** Directives without effect get one line per family, and none where they say what holds anyway. */
  #summarise(config: Config): void {
    const wanted = [...this.#later.keys()].filter(name => !isDefault(name, config) && !asksForNothing(name, config))
    this.#tellFamilies(wanted)
    const dead = [...this.#warned]
    const firstDead = dead[0]
    if (firstDead === undefined) return
    const list = dead.map(([name, { at, advice }]) => `${name} (line ${at.line}: ${advice})`)
    this.#findings.warning(firstDead[1].at, `these directives no longer do anything: ${list.join(', ')}`)
  }

  /** A protocol that is not there yet is one thing, however many lines are about it. */
  #tellFamilies(names: readonly DirectiveName[]): void {
    for (const [family, { doc, opens, aside }] of Object.entries(families)) {
      const members = names.filter(name => directives[name].family === family)
      const first = this.#later.get(members[0] ?? 'http_port')
      const all: readonly string[] = aside
      if (members.every(name => all.includes(name))) continue
      if (first === undefined || (opens !== null && !members.some(name => name === opens))) continue
      this.#findings.warning(first, `${doc}; read, but without effect: ${members.join(', ')}`)
    }
  }

  #config(): Config {
    const values: Record<string, unknown> = {}
    for (const name of Object.keys(directives)) values[name] = this.#valueOf(name as DirectiveName) // a key of the table
    values['given'] = this.#lastAt
    values['files'] = [...this.#files]
    return values as Config // one value per name, made by that name's kind
  }

  #valueOf(name: DirectiveName): unknown {
    const value = this.#values.get(name)
    // a list whose lines all said nothing is no list
    if (value !== undefined && !(Array.isArray(value) && value.length === 0)) return value
    if (name === 'acl') return this.#scope.acls.definitions
    if (name === 'access_log' && this.#scope.commonByDefault) return readDefault(name, this.#scope.commonByDefault)
    return defaultValue(name)
  }
}

/** They hold from their line on, so a conf turns them back and forth. */
const switches: readonly DirectiveName[] = ['configuration_includes_quoted_values', 'unknown_directives']


const placeOf = (at: Location, seenFrom: Location): string =>
  at.file === seenFrom.file ? `line ${at.line}` : `${at.file}:${at.line}`

const newScope = (world: ConfWorld, findings: Findings): Scope => ({
  findings,
  world,
  acls: new AclTable(),
  formats: new Map(),
  quotedValues: false,
  commonByDefault: false,
})

const noWorld: ConfWorld = {
  readFile: path => {
    throw new Error(`a default reads no file: ${path}`)
  },
  glob: () => [],
  env: {},
}

const readDefault = (name: DirectiveName, commonByDefault = false): unknown => {
  const directive = directives[name] as AnyDirective // its own kind reads it
  if (directive.default === null) return directive.kind.initial
  const findings = new Findings()
  const scope: Scope = { ...newScope(noWorld, findings), commonByDefault }
  const text = `${name} ${commonByDefault ? directive.default.replace(/ squid$/, '') : directive.default}`
  const line = new Line(
    new LogicalLine(text, { file: '(default)', from: null }, [{ offset: 0, line: 0, column: 0, still: true }]),
    scope,
  )
  const value = directive.kind.read(line, directive.kind.initial)
  assert(
    value !== undefined && findings.list.length === 0 && line.next() === null,
    `the default of ${name} is a proper line`,
  )
  return value
}

const defaults = new Map<DirectiveName, unknown>()

/** What holds when a conf does not say. */
const defaultValue = (name: DirectiveName): unknown => {
  if (!defaults.has(name)) defaults.set(name, readDefault(name))
  return defaults.get(name)
}

/** The value as conf lines without the name; lists of the table write what was read. */
export const writtenValue = (name: DirectiveName, value: unknown): readonly string[] =>
  (directives[name] as AnyDirective).kind.write(value)

/** It says that it does not want what is not there. */
const asksForNothing = (name: DirectiveName, config: Config): boolean => {
  const { off } = directives[name]
  return off !== null && writtenValue(name, config[name]).join('\n') === off
}

const isDefault = (name: DirectiveName, config: Config): boolean =>
  writtenValue(name, config[name]).join('\n') === writtenValue(name, defaultValue(name)).join('\n')

/** The whole conf as it holds, defaults included; reading it again gives the same. */
export const confText = (config: Config): string => {
  const lines: string[] = []
  for (const key of Object.keys(directives)) {
    const name = key as DirectiveName // a key of the table
    for (const words of writtenValue(name, config[name])) lines.push(`${name} ${words}`)
  }
  return `${lines.join('\n')}\n`
}
