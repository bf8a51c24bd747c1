/**
 * Content that comes while the head is still being judged (an ACL waits for a name). Whoever gives it was told to stop
 * with the first piece, so what is held is what one call brings.
 */
export class JudgedLater {
  readonly pieces: Buffer[] = []
  /** The content has ended meanwhile. */
  trailers: readonly string[] | null = null
}
