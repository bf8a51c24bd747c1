import { accessSync, constants, statSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { findUser, native } from '../../native/index.ts'
import { errnoOf } from '../base/index.ts'
import type { Config, Diagnostic, DirectiveName, Location } from '../conf/index.ts'
import type { ProgramLine } from './programs.ts'

// What a conf names on this machine and is not there: programs nobody could start, folders no log can be written to, a user
// nobody can become. Squid dies of these at its start; here they are told with all else, and a reload keeps the former conf.

type Given = Extract<DirectiveName, 'cache_log' | 'session_log' | 'cache_store_log' | 'pid_filename' | 'hosts_file' | 'coredump_dir' | 'cache_effective_user'>

export const placesMissing = (config: Config, programs: readonly ProgramLine[]): readonly Diagnostic[] => {
  const found: Diagnostic[] = []
  const warn = (at: Location | undefined, message: string, hint = ''): void => {
    if (at !== undefined) found.push({ severity: 'warning', at, message, hint })
  }
  for (const line of programs) found.push(...programFindings(line))
  const given = (name: Given) => config.given.get(name)
  for (const name of ['cache_log', 'session_log', 'cache_store_log'] as const) {
    if (isThereAsFolder(config[name])) warn(given(name), `${name}: ${config[name] ?? ''} is a folder: nothing will be written`, 'write the name of a file in it')
    const folder = folderMissing(config[name])
    if (folder !== null) warn(given(name), `${name}: there is no folder ${folder}: nothing will be written`, 'make it, and give it to cache_effective_user')
  }
  for (const { module, place, at } of config.given.has('access_log') ? [...config.access_log, ...config.icap_log] : config.icap_log) {
    const isFile = module === 'stdio' || module === 'daemon'
    if (isFile && at.line > 0 && isThereAsFolder(place)) warn(at, `${place} is a folder: nothing will be written`, 'write the name of a file in it')
    const folder = isFile ? folderMissing(place) : null
    // line 0: what stands for a line that could not be read
    if (folder !== null && at.line > 0) warn(at, `there is no folder ${folder}: nothing will be written`, 'make it, and give it to cache_effective_user')
  }
  const pidFolder = folderMissing(config.pid_filename)
  if (pidFolder !== null) warn(given('pid_filename'), `pid_filename: there is no folder ${pidFolder}: a start ends here`, 'make it, or write: pid_filename none')
  if (isMissing(config.hosts_file)) warn(given('hosts_file'), `hosts_file: there is no ${config.hosts_file ?? ''}`)
  if (isMissing(config.coredump_dir)) warn(given('coredump_dir'), `coredump_dir: there is no folder ${config.coredump_dir ?? ''}: the working directory stays`)
  found.push(...userFindings(config, given('cache_effective_user')))
  return found
}

const programFindings = ({ name, command, at }: ProgramLine): Diagnostic[] => {
  const [program = '', ...words] = command
  const why = whyNotRun(program)
  if (why !== null) {
    const file = /(?:ncsa|digest_file)_auth$/.test(program) ? words.find(word => !word.startsWith('-')) : undefined
    const hint = file === undefined ? 'write the path of a program' : `with a readable file ${file} no program is needed`
    return [{ severity: 'fatal', at, message: `${name}: ${program} cannot be run (${why})`, hint }]
  }
  const script = words[0]
  if (script !== undefined && interpreters.test(program) && script.startsWith('/') && isMissing(script)) {
    return [{ severity: 'fatal', at, message: `${name}: ${program} is to run ${script}, which is not there`, hint: 'write the path of a program' }]
  }
  // a file of passwords, a list: what the program makes of it is its own affair
  return words.filter(word => word.startsWith('/') && isMissing(word)).map(word => ({ severity: 'warning', at, message: `${name}: there is no ${word}`, hint: '' }))
}

const interpreters = /(?:^|\/)(?:python|perl|ruby|node|php|lua|bash|dash|sh)[\d.]*$/

/** As it will be started: without a slash it is looked for in PATH. */
const whyNotRun = (program: string): string | null => {
  const paths = program.includes('/') ? [program] : (process.env['PATH'] ?? '').split(delimiter).map(folder => join(folder, program))
  let why = 'ENOENT'
  for (const path of paths) {
    const reason = whyNotThis(path)
    if (reason === null) return null
    if (reason !== 'ENOENT') why = reason
  }
  return why
}

const whyNotThis = (path: string): string | null => {
  try {
    if (statSync(path).isDirectory()) return 'it is a folder'
    accessSync(path, constants.X_OK)
    return null
  } catch (error) {
    return errnoOf(error)
  }
}

/** Null: it is there, or the path is none that lies in a folder of somebody's. */
const folderMissing = (path: string | null): string | null => {
  if (path === null || !path.startsWith('/') || path.startsWith('/dev/')) return null
  const folder = dirname(path)
  return isFolder(folder) ? null : folder
}

const isThereAsFolder = (path: string | null): boolean => {
  try {
    return path?.startsWith('/') === true && statSync(path).isDirectory()
  } catch {
    return false // what cannot be looked at is told of elsewhere, or when it is opened
  }
}

const isFolder = (path: string): boolean => {
  try {
    return statSync(path).isDirectory()
  } catch (error) {
    return errnoOf(error) === 'EACCES' // what may not be looked into may well be one
  }
}

const isMissing = (path: string | null): boolean => {
  if (path === null) return false
  try {
    statSync(path)
    return false
  } catch (error) {
    return errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR' // what may not be looked into may well be there
  }
}

const userFindings = (config: Config, at: Location | undefined): Diagnostic[] => {
  const user = config.cache_effective_user
  if (at === undefined || user === null || !native.present || findUser(native.addon, user) !== null) return []
  const root = process.geteuid?.() === 0
  return [{ severity: root ? 'fatal' : 'warning', at, message: `cache_effective_user: there is no user '${user}'`, hint: root ? '' : 'who starts it as root needs one' }]
}
