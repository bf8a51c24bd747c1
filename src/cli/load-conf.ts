import { existsSync } from 'node:fs'
import { type Config, diagnosticText, exitCodeOf, parseConf, systemWorld } from '../conf/index.ts'
import type { Common } from './arguments.ts'

/** Where what was found in a conf goes: standard error, or the log of a running proxy. */
export type Tell = (text: string) => void

export const tellOnStderr: Tell = text => process.stderr.write(`${text}\n`)

/** The conf a command needs, with all remarks told; null when it was refused. */
export const loadConf = ({ confFile, confGiven }: Pick<Common, 'confFile' | 'confGiven'>, tell: Tell): Config | null => {
  if (!confGiven && !existsSync(confFile)) {
    tell(`FATAL: there is no ${confFile}. Say which conf: glassquid -f FILE (to see it work first: npm start)`)
    return null
  }
  const { config, diagnostics } = parseConf({ file: confFile }, systemWorld())
  for (const diagnostic of diagnostics) tell(diagnosticText(diagnostic))
  return exitCodeOf(diagnostics) === 0 ? config : null
}
