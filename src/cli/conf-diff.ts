import { type Config, confText, needsRestart } from '../conf/index.ts'
import type { DebugLog } from '../log/index.ts'

/** A log is for reading; a new list of ten thousand ACL values is in the file. */
const linesMax = 40
const charactersMax = 300

/**
 * What a new conf says otherwise, line by line as both were understood, so that a comment or another spelling of the same
 * is no difference: `- line` of the old, `+ line` of the new. Empty when they mean the same.
 */
export const confDifference = (before: Config, behind: Config): readonly string[] => {
  const [old, young] = [linesOf(before), linesOf(behind)]
  const gone = [...old].filter(([line, count]) => count > (young.get(line) ?? 0)).map(([line]) => `- ${line}`)
  const come = [...young].filter(([line, count]) => count > (old.get(line) ?? 0)).map(([line]) => `+ ${line}`)
  const all = [...gone, ...come]
  if (all.length === 0 && confText(before) !== confText(behind)) return ['the same lines in another order']
  const more = all.length - linesMax
  return [...all.slice(0, linesMax).map(cut), ...(more > 0 ? [`... and ${more} lines more`] : [])]
}

/** The same as lines of cache.log: what has come into force, or what was refused with the rest of the file. */
export const logDifference = (log: Pick<DebugLog, 'write'>, fate: 'Reconfiguring' | 'Refused', before: Config, behind: Config | null): void => {
  if (behind === null) return
  for (const line of confDifference(before, behind)) log.write('conf', 1, `${fate}: ${line}`)
}

/** Directives a running proxy cannot follow, where they are no longer what it was started with. */
export const waitingForRestart = (started: Config, now: Config): readonly string[] => {
  const wanting = [linesOf(started), linesOf(now)].map(lines => [...lines.keys()].filter(line => needsRestart(nameOf(line))))
  const [old = [], young = []] = wanting
  const changed = [...old.filter(line => !young.includes(line)), ...young.filter(line => !old.includes(line))]
  return [...new Set(changed.map(nameOf))]
}

/** Told at each reload until it is done, so that nobody believes what `Reconfigured` seems to say. */
export const warnOfRestart = (log: Pick<DebugLog, 'warning'>, started: Config, now: Config): void => {
  const names = waitingForRestart(started, now)
  if (names.length > 0) log.warning('conf', `${names.join(', ')}: what has changed here counts after a restart`)
}

const nameOf = (line: string): string => line.split(' ', 1)[0] ?? ''

const linesOf = (config: Config): Map<string, number> => {
  const counts = new Map<string, number>()
  for (const line of confText(config).split('\n')) if (line !== '') counts.set(line, (counts.get(line) ?? 0) + 1)
  return counts
}

const cut = (line: string): string => {
  const shown = withoutSecrets(line)
  return shown.length > charactersMax ? `${shown.slice(0, charactersMax)}...` : shown
}

/** Squid: cachemgr_passwd PASSWORD action ..., cache_peer ... login=USER:PASSWORD, wccp2_service ... password=WORD. A log has more readers than a conf. */
const withoutSecrets = (line: string): string => line.replace(/^([-+] cachemgr_passwd )\S+/, '$1...').replace(/\b(login=|password=)\S+/g, '$1...')
