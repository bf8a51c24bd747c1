import type { Session } from '../service/session.ts'

/**
 * Speaks one protocol with the client of a session. `run` takes over the client connection: it sets the reader and ends
 * the connection. It must not throw; what it throws all the same closes the session with DENIED_BY_UNKNOWN_FAIL.
 */
export interface Proxy {
  readonly name: string
  run(session: Session): void
}
