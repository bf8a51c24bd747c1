import type { MonoMs } from '../base/index.ts'

/** What a client says, and about what. Texts are latin1. */
export interface ProofRequest {
  /** The field (Proxy-Authorization, or Authorization at an accelerator); undefined = there is none. */
  readonly field: string | undefined
  readonly method: string
  /** Forms of the target that a digest may name. */
  readonly uris: readonly string[]
  /** key_extras, formatted; '' = none. */
  readonly extras: (scheme: Scheme) => string
  readonly now: MonoMs
  /** Of the client's connection. */
  readonly link: AuthLink
}

/** What a client connection has proved, or is about to: by schemes that prove it for a connection. */
export interface AuthLink {
  handshake: Handshake | null
}

export interface Handshake {
  /** The scheme's. */
  readonly name: string
  /** '' = it is not over yet. */
  readonly user: string
  /** The connection is gone, or begins another one. */
  end(): void
}

/**
 * proven    it is this user
 * missing   nothing was said, or nothing of a scheme that is offered
 * wrong     it is not, or not shown
 * stale     right, but by a nonce that is no longer used: asked again, the client's program needs nobody's help
 * more      so far, so good: it goes on with `challenge`
 * failed    nobody could say
 */
export interface Proof {
  readonly state: 'proven' | 'missing' | 'wrong' | 'stale' | 'more' | 'failed'
  /** As claimed; only of a proven one is it more than a claim. '' = none. */
  readonly user: string
  /** From the helper, for error pages and the log. */
  readonly message: string
  /** The only one to be sent. */
  readonly challenge?: string
  /** What else the helper said: name, value, ... */
  readonly notes?: readonly string[]
}

export interface Scheme {
  readonly name: 'basic' | 'digest' | 'ntlm' | 'negotiate'
  /** `words`: what follows the scheme's name. */
  prove(words: string, request: ProofRequest): Proof | Promise<Proof>
  /** Values of Proxy-Authenticate, without their scheme's name. */
  challenges(stale: boolean, now: MonoMs): readonly string[]
  /** What another scheme object of the conf before has learned, if that is still true. */
  adopt(former: Scheme): void
}

export const missing: Proof = { state: 'missing', user: '', message: '' }

export const wrong = (user: string, message = ''): Proof => ({ state: 'wrong', user, message })
export const proven = (user: string, message = ''): Proof => ({ state: 'proven', user, message })
export const failed = (user: string, message: string): Proof => ({ state: 'failed', user, message })

/** RFC 9110 5.6.4 */
export const quoted = (text: string): string => `"${text.replace(/["\\]/g, '\\$&')}"`
