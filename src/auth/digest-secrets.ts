import { createHash } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { errnoOf } from '../base/index.ts'
import { type HelperAnswer, parseReply, quoteField } from '../helper/index.ts'
import { asUtf8 } from './passwords.ts'

// Who knows the secret of a user: H(user:realm:password), never the password.

export type DigestAlgorithm = 'MD5' | 'SHA-256'

export type Secret =
  | { readonly kind: 'secret'; readonly ha1: string }
  | { readonly kind: 'unknown'; readonly message: string }
  /** Nobody could say. */
  | { readonly kind: 'failed'; readonly message: string }

export interface DigestSecrets {
  /** Those it has secrets for, the one to be preferred first. */
  readonly algorithms: readonly DigestAlgorithm[]
  /** Never rejects. */
  secretOf(user: string, realm: string, algorithm: DigestAlgorithm, extras: string): Promise<Secret>
}

export const digestHash = (algorithm: DigestAlgorithm, text: string): string =>
  createHash(algorithm === 'MD5' ? 'md5' : 'sha256').update(text, 'latin1').digest('hex')

/** A helper: `"user":"realm" [extras]`, answered by OK ha1="..." or, before 3.4, by the bare hash. */
export class HelperSecrets implements DigestSecrets {
  readonly algorithms = ['MD5'] as const
  readonly #ask: (line: string) => Promise<HelperAnswer>
  readonly #utf8: boolean

  constructor(ask: (line: string) => Promise<HelperAnswer>, utf8: boolean) {
    this.#ask = ask
    this.#utf8 = utf8
  }

  async secretOf(user: string, realm: string, _algorithm: DigestAlgorithm, extras: string): Promise<Secret> {
    const answer = await this.#ask(`${quoteField(this.#utf8 ? asUtf8(user) : user)}:${quoteField(realm)}${extras === '' ? '' : ` ${extras}`}`)
    if (!answer.ok) return { kind: 'failed', message: `the authentication program is ${answer.reason}` }
    const reply = parseReply(answer.text)
    const ha1 = (reply.values.get('ha1') ?? reply.text).toLowerCase()
    const message = reply.values.get('message') ?? ''
    if (reply.result === 'ERR') return { kind: 'unknown', message }
    return reply.result !== 'BH' && /^[0-9a-f]{32}$/.test(ha1) ? { kind: 'secret', ha1 } : { kind: 'failed', message }
  }
}

const fileBytesMax = 64 * 1024 * 1024

/** A file of `user:password`, or of `user:realm:secret` (htdigest; `-c`), read again when it has changed. */
export class DigestFile implements DigestSecrets {
  readonly algorithms: readonly DigestAlgorithm[]
  readonly #path: string
  readonly #secrets: boolean
  readonly #complain: (text: string) => void
  /** By user, or by user and realm. */
  #lines: ReadonlyMap<string, string> = new Map()
  #version = ''

  constructor(path: string, secrets: boolean, complain: (text: string) => void) {
    this.#path = path
    this.#secrets = secrets
    this.#complain = complain
    this.algorithms = secrets ? ['MD5'] : ['SHA-256', 'MD5']
  }

  static readable(path: string): boolean {
    try {
      return statSync(path).size <= fileBytesMax && readFileSync(path).length >= 0
    } catch {
      return false // the program may be allowed to read what we are not
    }
  }

  async secretOf(user: string, realm: string, algorithm: DigestAlgorithm): Promise<Secret> {
    this.#refresh()
    const found = this.#lines.get(this.#secrets ? `${user}:${realm}` : user)
    if (found === undefined) return { kind: 'unknown', message: '' }
    return { kind: 'secret', ha1: this.#secrets ? found.toLowerCase() : digestHash(algorithm, `${user}:${realm}:${found}`) }
  }

  #refresh(): void {
    try {
      const { mtimeMs, size, ino } = statSync(this.#path)
      const version = `${mtimeMs} ${size} ${ino}`
      if (version === this.#version || size > fileBytesMax) return
      this.#lines = linesOf(readFileSync(this.#path, 'latin1'), this.#secrets)
      this.#version = version
    } catch (error) {
      this.#complain(`cannot read ${this.#path}: ${errnoOf(error)}`)
    }
  }
}

const linesOf = (text: string, secrets: boolean): ReadonlyMap<string, string> => {
  const lines = new Map<string, string>()
  for (const line of text.split('\n')) {
    const found = (secrets ? /^([^#:][^:]*:[^:]*):([0-9a-fA-F]{32})\s*$/ : /^([^#:][^:]*):(.*?)\r?$/).exec(line)
    if (found !== null) lines.set(found[1] ?? '', found[2] ?? '')
  }
  return lines
}
