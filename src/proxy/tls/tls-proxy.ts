import type { Connection } from '../../../comm/connection.ts'
import type { Attempt } from '../../../comm/engine/engine.ts'
import type { Clock, DurationMs, MonoMs, Outcome } from '../../base/index.ts'
import type { Session, Speaker } from '../../service/session.ts'
import { acceptTls, type HandshakeFailure, type SecureConnection, type Shown } from '../../tls/index.ts'
import { connectionOutcome } from '../connection-outcome.ts'
import type { Proxy } from '../proxy.ts'
import { CountTls } from './counters.ts'

// A port that shows its own certificate: the handshake, then whatever proxy speaks inside.
//
//   session ──► handshake ──► inside.run(a session in this one, over the secure connection)
//                  └─ no ──► record

export interface TlsDeps {
  readonly clock: Clock
  /** How long a handshake may take: request_timeout, as in Squid. */
  readonly timeout: () => DurationMs
  /** Starts a proxy within the session of another (cli/stacked.ts). */
  readonly startInside: (owner: Session, client: Connection, proxy: Proxy) => Session
  readonly record: (outcome: Outcome) => void
  /** tls_key_log: where the secrets of this session go; undefined: nowhere. */
  readonly keyLog: (session: Session) => Shown['keyLog']
}

export const createTlsProxy = (deps: TlsDeps, shown: Shown, inside: Proxy): Proxy => ({
  name: 'tls',
  run(session: Session): void {
    new TlsSession(deps, session, inside).start(shown)
  },
})

class TlsSession implements Speaker {
  readonly #deps: TlsDeps
  readonly #session: Session
  readonly #inside: Proxy
  readonly #startedMono: MonoMs
  #attempt: Attempt | null = null

  constructor(deps: TlsDeps, session: Session, inside: Proxy) {
    this.#deps = deps
    this.#session = session
    this.#inside = inside
    this.#startedMono = deps.clock.mono()
  }

  start(shown: Shown): void {
    this.#session.speaker = this
    const keyLog = this.#deps.keyLog(this.#session)
    this.#attempt = acceptTls(this.#session.client, keyLog === undefined ? shown : { ...shown, keyLog }, this.#deps.timeout(), (failure, secure) => this.#shaken(failure, secure))
  }

  /** Nothing was asked yet. */
  windUp(): void {
    this.#attempt?.cancel()
  }

  #shaken(failure: HandshakeFailure | null, secure: SecureConnection | null): void {
    this.#attempt = null
    if (secure === null) return this.#failed(failure)
    CountTls.handshakes++
    const within = this.#deps.startInside(this.#session, secure, this.#inside)
    this.#session.speaker = within.speaker
  }

  #failed(failure: HandshakeFailure | null): void {
    CountTls.failed++
    this.#session.speaker = null
    const outcome = connectionOutcome(this.#session, this.#startedMono, this.#deps.clock)
    outcome.error = failure?.kind === 'timeout' ? 'request-timeout' : 'client-tls'
    outcome.errorDetail = failure?.message ?? ''
    this.#deps.record(outcome)
  }
}
