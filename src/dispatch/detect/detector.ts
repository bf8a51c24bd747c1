// What a connection speaks, by the first bytes of the client.

/** undecided: what has come so far may become either. */
export type Finding = 'match' | 'no' | 'undecided'

/** Looks at everything that has come so far, again from the beginning each time. Pure. */
export type Look = (bytes: Buffer) => Finding

export interface Detector {
  readonly name: string
  readonly look: Look
  /** How long a client may take, in milliseconds. */
  readonly timeoutMs: number
}

/** A client hello with all extensions people use is below 2 KB, with post-quantum keys 3 KB; a request line up to 8 KB. */
export const peekBytesMax = 16 * 1024
