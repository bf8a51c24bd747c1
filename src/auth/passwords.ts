import { isUtf8 } from 'node:buffer'
import { readFileSync, statSync } from 'node:fs'
import { errnoOf } from '../base/index.ts'
import { escapeField, type HelperAnswer, parseReply } from '../helper/index.ts'
import type { PasswordHasher } from './hash/hasher.ts'
import { knownHash } from './hash/verify.ts'

// Who knows whether a password is right.

export type PasswordVerdict =
  | { readonly kind: 'right' | 'wrong'; readonly message: string }
  /** Nobody could say. */
  | { readonly kind: 'failed'; readonly message: string }

export interface PasswordSource {
  /** Never rejects. Texts are latin1. */
  check(user: string, password: string, extras: string): Promise<PasswordVerdict>
}

/** A helper: `user password [extras]`, escaped. */
export class HelperPasswords implements PasswordSource {
  readonly #ask: (line: string) => Promise<HelperAnswer>
  readonly #utf8: boolean

  constructor(ask: (line: string) => Promise<HelperAnswer>, utf8: boolean) {
    this.#ask = ask
    this.#utf8 = utf8
  }

  async check(user: string, password: string, extras: string): Promise<PasswordVerdict> {
    const text = (value: string): string => escapeField(this.#utf8 ? asUtf8(value) : value)
    const answer = await this.#ask(`${text(user)} ${text(password)}${extras === '' ? '' : ` ${extras}`}`)
    if (!answer.ok) return { kind: 'failed', message: `the authentication program is ${answer.reason}` }
    const reply = parseReply(answer.text)
    const message = reply.values.get('message') ?? reply.text
    if (reply.result === 'OK') return { kind: 'right', message: '' }
    return { kind: reply.result === 'ERR' ? 'wrong' : 'failed', message }
  }
}

/** For backends that want UTF-8; what is UTF-8 already is left as it is. */
export const asUtf8 = (text: string): string => {
  const bytes = Buffer.from(text, 'latin1')
  return isUtf8(bytes) ? text : Buffer.from(text, 'utf8').toString('latin1')
}

/** Lines of more are not read: it is no file of passwords. */
const fileBytesMax = 64 * 1024 * 1024

/** A file of `user:hash` (htpasswd), read again when it has changed. */
export class FilePasswords implements PasswordSource {
  readonly #path: string
  readonly #hasher: PasswordHasher
  readonly #complain: (text: string) => void
  #hashes: ReadonlyMap<string, string> = new Map()
  #nobody = nobody
  #version = ''

  constructor(path: string, hasher: PasswordHasher, complain: (text: string) => void) {
    this.#path = path
    this.#hasher = hasher
    this.#complain = complain
  }

  /** Can it be read, and is every hash of a kind that is known here? */
  static understands(path: string): boolean {
    try {
      if (statSync(path).size > fileBytesMax) return false
      return [...hashesOf(readFileSync(path, 'latin1')).values()].every(knownHash)
    } catch {
      return false // the program may be allowed to read what we are not
    }
  }

  async check(user: string, password: string): Promise<PasswordVerdict> {
    this.#refresh()
    const hash = this.#hashes.get(user)
    const right = await this.#hasher.check(hash ?? this.#nobody, password)
    if (right === null) return { kind: 'failed', message: 'too many passwords are being checked' }
    return { kind: right && hash !== undefined ? 'right' : 'wrong', message: '' }
  }

  /** What was read last stays when the file cannot be read now: an editor may be at work. */
  #refresh(): void {
    try {
      const { mtimeMs, size, ino } = statSync(this.#path)
      const version = `${mtimeMs} ${size} ${ino}`
      if (version === this.#version || size > fileBytesMax) return
      this.#hashes = hashesOf(readFileSync(this.#path, 'latin1'))
      this.#nobody = nobodyAmong(this.#hashes.values())
      this.#version = version
    } catch (error) {
      this.#complain(`cannot read ${this.#path}: ${errnoOf(error)}`)
    }
  }
}

/** For users that do not exist: the time it takes must not tell. No password gives this hash. */
const nobody = '$apr1$xxxxxxxx$......................'

/** Among those of bcrypt, which takes longer, one that takes as long. */
const nobodyAmong = (hashes: Iterable<string>): string => {
  for (const hash of hashes) {
    const cost = /^\$2[aby]\$(\d\d)\$/.exec(hash)?.[1]
    return cost === undefined ? nobody : `$2y$${cost}$${'.'.repeat(53)}`
  }
  return nobody
}

const hashesOf = (text: string): ReadonlyMap<string, string> => {
  const hashes = new Map<string, string>()
  for (const line of text.split('\n')) {
    const [user = '', hash = ''] = line.trim().split(':')
    if (user !== '' && hash !== '' && !user.startsWith('#')) hashes.set(user, hash)
  }
  return hashes
}
