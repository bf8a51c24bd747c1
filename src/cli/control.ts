import { chownSync } from 'node:fs'
import { type AdminAnswer, type AdminRequest, answerPage, askControlSocket, openControlSocket } from '../admin/index.ts'
import type { Config } from '../conf/index.ts'
import { type Manager, type Page, type PageAnswer, refusedPage } from '../manager/index.ts'
import type { Common } from './command/command.ts'
import type { ManagerWish } from './command/manager.ts'
import type { SessionsWish } from './command/sessions.ts'
import { loadConf, tellOnStderr } from './load-conf.ts'
import { userMeant } from './privileges.ts'

// Our command line and the running proxy, over the control socket: both ends of it.

/** Null: there is none. */
export const controlSocketPath = (config: Config): string | null => {
  const { control_socket: said, pid_filename: pidFile } = config
  if (said !== 'auto') return said
  return pidFile === null ? null : `${pidFile.replace(/\.pid$/, '')}.sock`
}

export type ControlAnswerer = (request: AdminRequest) => Promise<AdminAnswer>

/** A proxy without its socket still serves: that it has none is said, and no more. */
export const openControl = async (config: Config, answer: ControlAnswerer): Promise<ControlDoor> => {
  const path = controlSocketPath(config)
  if (path === null) return closed([])
  const opened = await openControlSocket({
    path, answer,
    failed: error => void Promise.reject(error), // the process's own way with faults of ours (running.ts)
  })
  if (!opened.ok) return closed([`WARNING: control_socket: ${opened.reason}; the command line cannot ask this proxy`])
  // it is the socket of whom the proxy becomes
  const owner = userMeant(config)
  if (owner !== null && typeof owner !== 'string') chownSync(path, owner.uid, owner.gid)
  return { remarks: [], close: () => opened.socket.close() }
}

export interface ControlDoor {
  /** For cache.log. */
  readonly remarks: readonly string[]
  close(): Promise<void>
}

const closed = (remarks: readonly string[]): ControlDoor => ({ remarks, close: async () => {} })

/** The pages of one process, for whoever needs no password. */
export const answerFrom =
  (manager: Manager) =>
  (request: AdminRequest): Promise<AdminAnswer> =>
    answerPage({ manager, passwords: null }, request)

export interface Deeds {
  /** '' = done; otherwise why not. */
  reconfigure(): Promise<string>
  rotate(): unknown
  shutdown(): unknown
}

/** What Squid's manager does on request; the signals do the same. */
export const registerDeeds = (manager: Manager, deeds: Deeds): void => {
  const deed = (name: string, doc: string, run: () => PageAnswer<string> | Promise<PageAnswer<string>>): Page<string> => ({
    name, doc,
    protection: 'protected',
    effect: 'either',
    together: 'one',
    answer: run,
    text: said => `${said}\n`,
  })
  manager.register(
    deed('reconfigure', 'Reconfigure', async () => {
      const why = await deeds.reconfigure()
      return why === '' ? done('reconfigured') : refusedPage(409, `the new conf was refused: ${why}: the former one stays in force; cache.log says more`)
    }),
  )
  manager.register(
    deed('rotate', 'Rotate the logs', async () => {
      await deeds.rotate()
      return done('logs rotated')
    }),
  )
  manager.register(
    deed('shutdown', 'Shut down', () => {
      deeds.shutdown()
      return done('shutting down')
    }),
  )
}

const done = (value: string): PageAnswer<string> => ({ ok: true, value })

/** A purge of a large disk cache takes its time, and says nothing until it is done. */
const patienceMs = 10 * 60_000

/** Every worker compiles the conf, and a million domains take seconds. */
const reconfigureMsMax = 150_000

/** What came of it; null: this proxy cannot be asked, but it may be sent the signal. */
export const askToReconfigure = async (config: Config): Promise<{ readonly ok: boolean; readonly reason: string } | null> => {
  const path = controlSocketPath(config)
  if (path === null) return null
  const answer = await askControlSocket(path, 'reconfigure', new URLSearchParams(), 'POST', reconfigureMsMax)
  if (!answer.ok) return answer.late ? { ok: false, reason: `the running proxy has been told, and ${answer.reason}` } : null
  if (answer.status === 200) return { ok: true, reason: '' }
  return answer.status === 409 ? { ok: false, reason: answer.text.trimEnd() } : null
}

/** `glassquid manager PAGE [name=value ...]`: the page on standard output. 0, 1 = it could not be had. */
export const showPage = async (wish: ManagerWish & Common): Promise<number> => {
  const args = new URLSearchParams()
  for (const word of wish.args) {
    const equals = word.indexOf('=')
    if (equals < 1) return complain(`'${word}': write name=value`)
    args.append(word.slice(0, equals), word.slice(equals + 1))
  }
  if (wish.json) args.set('format', 'json')
  return tellPage(wish, wish.page, args, wish.post ? 'POST' : 'GET')
}

/** `glassquid sessions`. */
export const showSessions = async (wish: SessionsWish & Common): Promise<number> => {
  if (wish.stop !== null) return tellPage(wish, 'stop_session', new URLSearchParams({ id: wish.stop }), 'POST')
  const args = new URLSearchParams()
  if (wish.service !== null) args.set('service', wish.service)
  if (wish.client !== null) args.set('client', wish.client)
  if (wish.json) args.set('format', 'json')
  return tellPage(wish, 'sessions', args, 'GET')
}

export const tellPage = async (common: Common, page: string, args: URLSearchParams, method: 'GET' | 'POST'): Promise<number> => {
  const answer = await askRunning(common, page, args, method)
  if (!answer.ok) return complain(answer.reason)
  process.stdout.write(answer.text)
  return 0
}

export type Asked =
  | { readonly ok: true; readonly text: string }
  /** `absent`: no proxy runs, or none that could be asked; otherwise it has said no. */
  | { readonly ok: false; readonly absent: boolean; readonly reason: string }

export const askRunning = async (common: Common, page: string, args: URLSearchParams, method: 'GET' | 'POST'): Promise<Asked> => {
  const loaded = loadConf(common, text => {
    if (/^(?:FATAL|ERROR)/.test(text)) tellOnStderr(text)
  })
  if (loaded === null) return { ok: false, absent: false, reason: 'the conf that names the socket cannot be read' }
  const path = controlSocketPath(loaded.config)
  if (path === null) return { ok: false, absent: true, reason: 'the conf has no control_socket (nor a pid_filename it could lie beside)' }
  const answer = await askControlSocket(path, page, args, method, patienceMs)
  if (!answer.ok) {
    const why = answer.absent ? `no proxy answers at ${path}` : `${path}: ${answer.reason}`
    return { ok: false, absent: answer.absent, reason: why }
  }
  return answer.status === 200
    ? { ok: true, text: answer.text }
    : { ok: false, absent: false, reason: answer.text.trimEnd() || `the proxy answered ${answer.status}` }
}

const complain = (reason: string): number => {
  process.stderr.write(`glassquid: ${reason}\n`)
  return 1
}
