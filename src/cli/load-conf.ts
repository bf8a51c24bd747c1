import { existsSync } from 'node:fs'
import { type Config, type Diagnostic, diagnosticText, exitCodeOf, parseConf, systemWorld } from '../conf/index.ts'
import { checkLogFormats } from '../log/index.ts'
import type { Common } from './arguments.ts'
import { type CompiledPolicy, compilePolicy } from './http-policy.ts'

/** Where what was found in a conf goes: standard error, or the log of a running proxy. */
export type Tell = (text: string) => void

export const tellOnStderr: Tell = text => process.stderr.write(`${text}\n`)

/** A conf that may be used: its values, and what they mean at each request. */
export interface LoadedConf {
  readonly config: Config
  readonly policy: CompiledPolicy
}

/** The conf a command needs, read and compiled, with all remarks told; null when it was refused. */
export const loadConf = ({ confFile, confGiven }: Pick<Common, 'confFile' | 'confGiven'>, tell: Tell): LoadedConf | null => {
  if (!confGiven && !existsSync(confFile)) {
    tell(`FATAL: there is no ${confFile}. Say which conf: glassquid -f FILE (to see it work first: npm start)`)
    return null
  }
  const { config, diagnostics } = parseConf({ file: confFile }, systemWorld())
  if (config === null) {
    tellAll(diagnostics, tell)
    return null
  }
  return compiled(config, diagnostics, tell)
}

export const compiled = (config: Config, diagnostics: readonly Diagnostic[], tell: Tell): LoadedConf | null => {
  const policy = compilePolicy(config)
  const found = [...diagnostics, ...policy.problems, ...checkLogFormats(config.logformat)]
  tellAll(found, tell)
  return exitCodeOf(found) === 0 ? { config, policy } : null
}

const tellAll = (diagnostics: readonly Diagnostic[], tell: Tell): void => {
  for (const diagnostic of diagnostics) tell(diagnosticText(diagnostic))
}
