import type { Legacy, PageAnswer, WorkerAnswer } from '../../manager/index.ts'
import type { Common } from '../command/command.ts'
import type { ConfFiles } from './conf-files.ts'

// What the supervisor and a worker say to each other. Everything can be cloned (serialization: advanced).

/** To a worker. Its answers: see `Replies`. */
export type Order =
  /**
   * The first one. `handedIn`: names of the sockets it was started with; `inherited`: what the one before it has counted;
   * `upSince`: when the proxy began, by process.hrtime, which is one clock for all processes of a machine.
   */
  | {
      readonly kind: 'start'
      readonly common: Common
      readonly files: ConfFiles
      readonly handedIn: readonly string[]
      readonly inherited: Legacy
      readonly upSince: bigint
    }
  /** Reads and compiles; nothing is in force yet. */
  | { readonly kind: 'check'; readonly files: ConfFiles }
  /** What was checked comes into force. */
  | { readonly kind: 'adopt' }
  /** What was in force before `adopt` is again: another worker could not. */
  | { readonly kind: 'revert' }
  | { readonly kind: 'rotate' }
  /** Nothing but an answer is wanted. */
  | { readonly kind: 'alive' }
  | { readonly kind: 'debug' }
  /** What it would leave if it died now. */
  | { readonly kind: 'counted' }
  /** Its own page. */
  | { readonly kind: 'page'; readonly page: string; readonly args: string }
  /** A request that came by the control socket: answered for all workers. */
  | { readonly kind: 'request'; readonly request: RequestForPage }
  /** The worker ends; a second one makes it end at once. */
  | { readonly kind: 'stop'; readonly gently: boolean }

/** From a worker. */
export type Wish =
  /** The page of all other workers. `own`: see `OtherWorkers`. */
  | { readonly kind: 'others'; readonly page: string; readonly args: string; readonly own: Legacy | null }
  /** It cannot go on, and neither could another in its place: all have to end. */
  | { readonly kind: 'fatal'; readonly message: string }
  | { readonly kind: 'deed'; readonly deed: 'reconfigure' | 'rotate' | 'shutdown' }

export interface RequestForPage {
  readonly method: string
  readonly path: string
  readonly accept: string
  readonly form: string
}

/** Of start, check and adopt. */
export interface Done {
  readonly ok: boolean
  /** start: the line with what listens. Else: why not. */
  readonly said: string
}

/** Of a request. */
export interface PageReply {
  readonly status: number
  readonly pairs: readonly string[]
  readonly content: Uint8Array
}

export type { Legacy, PageAnswer, WorkerAnswer }
