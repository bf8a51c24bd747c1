import { ProxyError } from '../../../base/index.ts'
import { acceptTls, type Shown } from '../../../tls/index.ts'
import { CountTls } from '../../tls/counters.ts'
import { tellAgreed } from '../client-tls.ts'
import type { HttpPort } from '../policy.ts'
import { keyLogFor } from '../server-tls.ts'
import type { Transaction } from '../transaction.ts'
import type { Inside, PortBump } from './port-bump.ts'

export type { Shown }

/** The handshake with the client, and the http proxy inside. Answers why there is none. */
export const acceptClient = (t: Transaction, port: PortBump, shown: Shown, inside: Inside): Promise<ProxyError | null> =>
  new Promise(resolve => {
    const { session, connection } = t.client
    const { request } = t.policy.timeouts
    const { serverTls } = t.policy
    const keyLog = serverTls === null ? undefined : keyLogFor(t, serverTls)
    const attempt = acceptTls(connection, { ...shown, keyLog }, request, (failure, secure) => {
      session.speaker = null
      if (secure === null) {
        CountTls.failed++
        return resolve(new ProxyError(failure?.kind === 'timeout' ? 'request-timeout' : 'client-tls', failure?.message ?? '', { side: 'client' }))
      }
      CountTls.handshakes++
      tellAgreed(inside.tls, secure.tls)
      const within = port.startInside(session, secure, insideOf(t.client.port, inside))
      session.speaker = within.speaker
      resolve(null)
    })
    session.speaker = { windUp: () => attempt.cancel() }
  })

/** Requests within come as to an origin, and are taken as the connection was. */
const insideOf = (port: HttpPort, inside: Inside): HttpPort => ({ ...port, scheme: 'https', bump: null, inside })
