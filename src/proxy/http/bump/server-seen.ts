import type { X509Certificate } from 'node:crypto'
import { ProxyError } from '../../../base/index.ts'
import { type LeafWish, noAdaptation, type Shown } from '../../../tls/index.ts'
import type { Transaction } from '../transaction.ts'
import type { PortBump } from './port-bump.ts'

// The server of a connection that is bumped: its certificate, and the one that is made after it.

export interface ServerSeen {
  readonly certificate: X509Certificate | null
  /** Lower case; wildcards without their star: `.example.org`. */
  readonly names: readonly string[]
  /** Names of what is wrong with it: X509_V_ERR_... */
  readonly errors: readonly string[]
}

/** Null: t.failure says why. */
export const seeServer = async (t: Transaction, name: string): Promise<ServerSeen | null> => {
  void t
  void name
  return null
}

/** Null: there is none, and t.failure says why. */
export const certificateFor = async (t: Transaction, { mint, own }: PortBump, name: string, seen: ServerSeen | null): Promise<Shown | null> => {
  if (mint === null) return own
  const wish: LeafWish = { name, like: seen?.certificate ?? null, sign: 'signTrusted', adapt: noAdaptation }
  const answer = await mint.leaf(wish)
  if (answer.ok) return { usual: answer.leaf.context, contextFor: null, clients: own.clients }
  t.failure = new ProxyError('internal', `no certificate for ${name}: ${answer.reason}`)
  return null
}
