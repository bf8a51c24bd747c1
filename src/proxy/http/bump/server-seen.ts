import type { X509Certificate } from 'node:crypto'
import { canonicalAddress, ProxyError } from '../../../base/index.ts'
import type { Chained } from '../../../chainer/chainer.ts'
import { domainMismatch, type LeafWish, type ServerSight, type Shown } from '../../../tls/index.ts'
import { signingFor } from '../../tls/signing.ts'
import { routeHint } from '../forward-request.ts'
import { judgeFor, keyLogFor } from '../server-tls.ts'
import { peersFor, waysFor } from '../server-ways.ts'
import type { Transaction } from '../transaction.ts'
import { connectServer } from '../tunnel.ts'
import type { PortBump } from './port-bump.ts'

// The server of a connection that is bumped: its certificate, and the one that is made after it.

export interface ServerSeen {
  /** Null: nobody was asked (a parent stands between), or it has shown nothing. */
  readonly sight: ServerSight | null
  /** Open, and nothing was said on it; null = it is not to be spoken to. */
  readonly chained: Chained | null
}

/** t.failure says so where the server cannot be reached, or is not to be trusted; what it has shown is told all the same. */
export const seeServer = async (t: Transaction, name: string): Promise<ServerSeen> => {
  const { session } = t.client
  const { serverTls } = t.policy
  if (serverTls === null) {
    t.refuse('secure-connect-failed', 'tls_outgoing_options disable: no TLS is spoken to servers')
    return unseen
  }
  const peers = peersFor(t)
  if (peers !== null) {
    const [first] = await waysFor(t, peers, true)
    // by way of a parent: requests go there, and whatever server is behind it is seen by each of them
    if (first === undefined || first.peer !== null) return unseen
  }
  let sight: ServerSight | null = null
  const judge = judgeFor(t)
  const target = {
    client: serverTls.client,
    name: serverTls.domain ?? name,
    keyLog: keyLogFor(t, serverTls),
    judge: (seen: ServerSight) => {
      sight = seen
      const fault = judge(seen)
      // as Squid: an address is no name its certificate would have to have; what is asked of the server by name is held to that
      return fault?.name === domainMismatch && canonicalAddress(name) !== null ? null : fault
    },
  }
  const answer = await session.service.router.route(session, { ...routeHint(t), tls: target })
  if (t.over) return unseen
  if (!answer.ok) {
    t.refuse(answer.error, answer.detail)
    return unseen
  }
  return { chained: await connectServer(t, answer.routes), sight }
}

const unseen: ServerSeen = { sight: null, chained: null }

/** Its connection is for the requests that come. */
export const keepServer = (t: Transaction, { sight, chained }: ServerSeen): void => {
  const { chainer } = t.client.session.service
  if (chained === null) return
  if (sight === null || chainer.keep === undefined) chained.connection.close('done')
  else chainer.keep(chained, sight)
}

/** As namesOf; empty where no certificate was shown. */
export const certificateNames = (seen: ServerSeen): readonly string[] => {
  const certificate = seen.sight?.proof.certificate ?? null
  return certificate === null ? [] : namesOf(certificate)
}

/** Lower case; `*.example.org` as `.example.org`. */
export const namesOf = ({ subjectAltName, subject }: X509Certificate): readonly string[] => {
  const names = [...(subjectAltName ?? '').matchAll(/(?:DNS|IP Address):([^,\s"]+)/g)].map(([, name = '']) => name)
  const common = /^CN=(.*)$/m.exec(subject ?? '')?.[1]
  if (common !== undefined) names.push(common)
  return [...new Set(names.map(name => name.toLowerCase().replace(/^\*\./, '.')))]
}

/** Null: there is none, and t.failure says why. */
export const certificateFor = async (t: Transaction, { mint, own, signing }: PortBump, name: string, seen: ServerSeen | null): Promise<Shown | null> => {
  if (mint === null) return own
  const proof = seen?.sight?.proof ?? null
  const { facts } = t.client
  const errors = proof?.errors.map(error => error.name) ?? null
  facts.certificateErrors = canonicalAddress(name) === null ? errors : (errors?.filter(error => error !== domainMismatch) ?? null)
  const wish: LeafWish = { name, like: proof?.certificate ?? null, ...signingFor(signing, facts, name) }
  facts.certificateErrors = null
  const answer = await mint.leaf(wish)
  if (answer.ok) return { usual: answer.leaf.context, contextFor: null, clients: own.clients }
  t.failure = new ProxyError('internal', `no certificate for ${name}: ${answer.reason}`)
  return null
}
