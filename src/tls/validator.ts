import { createHash, type X509Certificate } from 'node:crypto'
import type { Bytes, DurationMs, WallMs } from '../base/index.ts'
import type { CertificateError, ServerProof } from './server-proof.ts'

// sslcrtvalidator_program: a helper that has the last word on servers' certificates. It is told the name, the chain and what
// OpenSSL thinks of it, and says which errors there are; OpenSSL's own count only if it repeats them, as in Squid.
//
//   question   cert_validate LENGTH host=NAME \n proto_version=… \n cipher=… \n cert_0=PEM … error_name_0=… \n error_cert_0=cert_0
//   answer     OK 0 \1        ERR LENGTH error_name_0=… \n error_reason_0=… \n error_cert_0=cert_0 \n \1
//
// An answer is kept for a time: whoever asks the same gets the same.

/** Asks the program; null = it does not answer, or not in words that are understood. */
export type AskValidator = (question: string) => Promise<string | null>

export interface ValidatorOptions {
  readonly ask: AskValidator
  readonly ttl: DurationMs
  readonly bytesMax: Bytes
  readonly now: () => WallMs
}

export interface ToValidate {
  readonly name: string
  /** `TLSv1.3`, as OpenSSL says it. */
  readonly version: string
  readonly cipher: string
  readonly proof: ServerProof
}

interface Kept {
  readonly errors: readonly CertificateError[]
  readonly until: number
}

export class Validator {
  readonly #options: ValidatorOptions
  /** Stored last at the end. */
  readonly #kept = new Map<string, Kept>()
  #bytes = 0

  constructor(options: ValidatorOptions) {
    this.#options = options
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Never rejects. Null: the program has failed. */
  async judge(what: ToValidate): Promise<readonly CertificateError[] | null> {
    const question = validationQuestion(what)
    const key = createHash('sha256').update(question, 'latin1').digest('base64')
    const kept = this.#kept.get(key)
    if (kept !== undefined && this.#options.now() < kept.until) return kept.errors
    if (kept !== undefined) this.#forget(key, kept)
    const answer = await this.#options.ask(question)
    const errors = answer === null ? null : validationErrors(answer)
    if (errors !== null) this.#keep(key, errors)
    return errors
  }

  #keep(key: string, errors: readonly CertificateError[]): void {
    const { ttl, bytesMax, now } = this.#options
    const before = this.#kept.get(key)
    if (before !== undefined) this.#forget(key, before)
    const kept = { errors, until: now() + ttl }
    if (sizeOf(kept) > bytesMax) return
    this.#kept.set(key, kept)
    this.#bytes += sizeOf(kept)
    for (const [oldest, first] of this.#kept) {
      if (this.#bytes <= bytesMax) return
      this.#forget(oldest, first)
    }
  }

  #forget(key: string, kept: Kept): void {
    this.#kept.delete(key)
    this.#bytes -= sizeOf(kept)
  }
}

/** Key, map entry and objects. */
const sizeOf = ({ errors }: Kept): number => 300 + 100 * errors.length

export const validationQuestion = ({ name, version, cipher, proof }: ToValidate): string => {
  const lines = [`host=${name}`, `proto_version=${version}`, `cipher=${cipher}`]
  const chain = chainSent(proof.certificate)
  for (const [i, certificate] of chain.entries()) lines.push(`cert_${i}=${certificate.toString().trimEnd()}`)
  for (const [i, error] of proof.errors.entries()) {
    lines.push(`error_name_${i}=${error.name}`, `error_cert_${i}=cert_${Math.min(error.depth, Math.max(0, chain.length - 1))}`)
  }
  const body = `${lines.join('\n')}\n`
  return `cert_validate ${body.length} ${body}`
}

/** The server's own and those it sent behind it. */
const chainSent = (leaf: X509Certificate | null): X509Certificate[] => {
  const chain: X509Certificate[] = []
  for (let next = leaf ?? undefined; next !== undefined && chain.length < chainMax; next = next.issuerCertificate) chain.push(next)
  return chain
}

const chainMax = 10

/** Null: not understood. */
export const validationErrors = (answer: string): readonly CertificateError[] | null => {
  const found = /^(OK|ERR) (\d+) ?(.*)$/s.exec(answer)
  if (found === null) return null
  const [, word, length, body = ''] = found
  if (word === 'OK') return none
  if (body.length < Number(length)) return null
  const names = new Map<string, string>()
  const depths = new Map<string, number>()
  for (const [, what = '', number = '', value = ''] of body.matchAll(/^error_(name|cert|depth)_(\d+)=(.*)$/gm)) {
    if (what === 'name') names.set(number, value.trim())
    else if (what === 'depth') depths.set(number, Number(value) || 0)
    else if (!depths.has(number)) depths.set(number, Number(/^cert_(\d+)/.exec(value)?.[1] ?? 0))
  }
  // it says that something is wrong, and not what
  if (names.size === 0 || [...names.values()].some(name => !/^[A-Z][A-Z0-9_]{2,100}$/.test(name))) return null
  return [...names].map(([number, name]) => ({ name, depth: depths.get(number) ?? 0 }))
}

const none: readonly CertificateError[] = []
