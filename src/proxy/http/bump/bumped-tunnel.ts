import type { Next } from '../steps.ts'

/** A tunnel whose client has been, or may yet be, spoken to in TLS. */
export interface BumpedTunnel {
  /** The server is there: the client's connection is given to the relay next, from its first byte on. */
  begin(): void
  /** t.failure says what the client is to be told, in whatever way it can be. */
  refuse(): Next | Promise<Next>
}
