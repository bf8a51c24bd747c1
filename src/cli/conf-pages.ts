import type { RefreshPatterns } from '../cache/index.ts'
import { type Config, shownConf } from '../conf/index.ts'
import { addNumbers, type Manager, type Page } from '../manager/index.ts'

// The conf in force, and how its refresh_pattern lines are used.

export interface ConfSources {
  readonly config: () => Config
  readonly refresh: () => RefreshPatterns
}

export const registerConf = (manager: Manager, sources: ConfSources): void => {
  manager.register(configPage(sources.config))
  manager.register(refreshPage(sources.refresh))
}

/** Every directive with its value, as it could be read again; passwords as XXXX. */
const configPage = (config: () => Config): Page<readonly string[]> => ({
  name: 'config',
  doc: 'Current Squid Configuration',
  protection: 'protected',
  effect: 'shows',
  together: 'one',
  answer: () => ({ ok: true, value: shownConf(config()) }),
  text: lines => `${lines.join('\n')}\n`,
})

interface PatternLine {
  readonly pattern: string
  /** Times it decided, and times its regex was tried. */
  readonly used: number
  readonly checked: number
}

const refreshPage = (patterns: () => RefreshPatterns): Page<readonly PatternLine[]> => ({
  name: 'refresh',
  doc: 'Refresh Algorithm Statistics',
  protection: 'public',
  effect: 'shows',
  answer: () => ({ ok: true, value: patterns().usage() }),
  together: ([first = [], ...others]) =>
    others.reduce<readonly PatternLine[]>((sum, one) => sum.map((line, i) => (one[i]?.pattern === line.pattern ? addNumbers(line, one[i]) : line)), first),
  text: lines =>
    [
      '',
      'Refresh pattern usage:',
      '',
      '  Used      \tChecks    \t% Matches\tPattern',
      ...lines.map(
        ({ pattern, used, checked }) =>
          `${String(used).padStart(10)}\t${String(checked).padStart(10)}\t${(checked > 0 ? (100 * used) / checked : 0).toFixed(2).padStart(6)}\t${pattern}`,
      ),
      '',
    ].join('\n'),
})
