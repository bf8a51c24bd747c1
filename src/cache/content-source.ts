// Content that is not in memory. A stored response has either its content in buffers or a source it is read from, and
// whoever delivers it reads piece by piece, no faster than its client takes them.

export interface ContentSource {
  /** For one reader. Null: it is gone, or cannot be read now; ask the origin. */
  open(): Promise<ContentReader | null>
}

/** Bytes of a content that lie in a file one after the other. */
export interface FileStretch {
  /** Open until the reader is closed. */
  readonly descriptor: number
  /** Place of the first of them in the file. */
  readonly at: number
  readonly bytes: number
}

export interface ContentReader {
  /**
   * Fills `into` with content from byte `at` on. Answers how many bytes came: fewer than it holds only where the content
   * ends, or ends for now. -1: it cannot be read any more.
   */
  read(at: number, into: Buffer): Promise<number>
  /** Where the content lies from byte `at` on; null, or absent: not in a file, or not finished there. */
  inFile?(at: number): FileStretch | null
  /** Once, whatever came before. */
  close(): void
}
