import type { FieldView } from '../../base/index.ts'
import { fieldsOfHead } from '../../cache/index.ts'

/** The fields of a head as the client gets it, read only if a log line asks for one. */
export class SentHead implements FieldView {
  readonly #head: string
  readonly #tail: string
  #fields: FieldView | null = null

  /** It may be in two parts; the second ends with the empty line. */
  constructor(head: string, tail: string) {
    this.#head = head
    this.#tail = tail
  }

  get #read(): FieldView {
    this.#fields ??= fieldsOfHead(this.#head + this.#tail.slice(0, -2))
    return this.#fields
  }

  get pairs(): readonly string[] {
    return this.#read.pairs
  }

  get(lowerName: string): string | undefined {
    return this.#read.get(lowerName)
  }

  joined(lowerName: string): string | undefined {
    return this.#read.joined(lowerName)
  }
}
