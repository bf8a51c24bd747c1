import { existsSync } from 'node:fs'
import {
  type Config, type ConfWorld, type Diagnostic, diagnosticText, exitCodeOf, forgetLists, inReadingOrder, type ParsedConf, parseConf, systemWorld,
} from '../conf/index.ts'
import { checkLogFormats } from '../log/index.ts'
import { collectGarbage } from './collect-garbage.ts'
import type { Common } from './command/command.ts'
import { type CompiledPolicy, compilePolicy } from './http-policy.ts'
import { clashingLines } from './listening.ts'
import { placesMissing } from './places.ts'

/** Where what was found in a conf goes: standard error, or the log of a running proxy. */
export type Tell = (text: string) => void

export const tellOnStderr: Tell = text => process.stderr.write(`${text}\n`)

/** Of what is told, the reasons a conf was refused for: the first ones, for who only asked for a reload. */
export class RefusalWords {
  readonly #lines: string[] = []

  note(text: string): void {
    if (this.#lines.length < refusalsMax && /^(?:FATAL|ERROR)/.test(text)) this.#lines.push(text.split('\n', 1)[0] ?? '')
  }

  /** Never empty. */
  get text(): string {
    return this.#lines.join('; ') || 'cache.log says why'
  }
}

const refusalsMax = 10

/** A conf that may be used: its values, and what they mean at each request. */
export interface LoadedConf {
  readonly config: Config
  readonly policy: CompiledPolicy
}

type ConfFile = Pick<Common, 'confFile' | 'confGiven'> & {
  /** Also ask for the programs and folders it names: it is to be run. */
  readonly places?: boolean
}

/** The conf a command needs, read and compiled, with all remarks told; null when it was refused. */
export const loadConf = (file: ConfFile, tell: Tell, world: ConfWorld = systemWorld()): LoadedConf | null => readConf(file, tell, world).loaded

export interface ReadConf {
  readonly loaded: LoadedConf | null
  /** What could be read of one that was refused, to be shown; null: there is no such file. */
  readonly draft: Config | null
}

/** The same, with what there is to be shown of a refused one. */
export const readConf = ({ confFile, confGiven, places = false }: ConfFile, tell: Tell, world: ConfWorld = systemWorld()): ReadConf => {
  if (!confGiven && !existsSync(confFile)) {
    tell(`FATAL: there is no ${confFile}. Say which conf: glassquid -f FILE (to see it work first: npm start)`)
    return { loaded: null, draft: null }
  }
  const parsed = parseConf({ file: confFile }, world)
  const loaded = compiled(parsed, tell, places)
  if (loaded !== null && forgetLists(loaded.config.acl)) collectGarbage()
  return { loaded, draft: parsed.draft.files.length === 0 ? null : parsed.draft }
}

/** What a conf means, or null. */
export const compiled = (parsed: ParsedConf, tell: Tell, places = false): LoadedConf | null => {
  const { loaded, found } = examined(parsed, places)
  for (const diagnostic of found) tell(diagnosticText(diagnostic))
  return loaded
}

/** Values are compiled even where the conf is refused already: all faults in one pass. */
export const examined = (parsed: ParsedConf, places = false): { readonly loaded: LoadedConf | null; readonly found: readonly Diagnostic[] } => {
  const policy = compilePolicy(parsed.draft)
  const told = distinct([...parsed.diagnostics, ...policy.problems.filter(one => !isOfSpoiled(one, parsed.spoiledAcls)), ...checkLogFormats(parsed.draft.logformat)])
  const found = inReadingOrder([...told, ...clashingLines(parsed.draft).filter(clash => !isToldOf(told, clash)), ...(places ? placesMissing(parsed.draft, policy.programs.lines) : [])])
  return { loaded: parsed.config !== null && exitCodeOf(found) === 0 ? { config: parsed.config, policy } : null, found }
}

/** An ACL whose own line was refused is not missed again by each line that uses it. */
const isOfSpoiled = ({ message }: Diagnostic, spoiled: ReadonlySet<string>): boolean =>
  spoiled.has((/ACL not found: (\S+)$/.exec(message)?.[1] ?? '').toLowerCase())

/** Of two ports with one number the linter has spoken already. */
const isToldOf = (told: readonly Diagnostic[], { at }: Diagnostic): boolean =>
  told.some(one => one.severity !== 'note' && one.severity !== 'warning' && one.at.file === at.file && one.at.line === at.line)

/** An ACL that does not exist is missed by whoever reads the line and by whoever compiles it. */
const distinct = (found: readonly Diagnostic[]): Diagnostic[] => {
  const seen = new Set<string>()
  return found.filter(({ at, message }) => {
    const key = `${at.file}(${at.line}) ${message}`
    if (seen.has(key)) return false
    seen.add(key)
    return true
  })
}
