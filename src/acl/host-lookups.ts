import { canonicalAddress, wallMs } from '../base/index.ts'
import type { AccessFacts } from './access-facts.ts'
import { IpKey } from './ip-key.ts'

/**
 * Looks names up for the slow ACLs (dst by name, domains of numeric hosts). What is in the cache is answered at once;
 * a promise means a question on the wire. What cannot be resolved is empty; a rejection counts as empty.
 */
export interface AccessNames {
  /** Canonical addresses. The same array again means "unchanged" and saves reading it. */
  addressesOf(host: string): readonly string[] | Promise<readonly string[]>
  /** The name of a canonical address, lower case; '' = it has none. */
  nameOf(address: string): string | Promise<string>
}

/** What was looked up about the host of a request. Made when the first ACL asks; most connections never do. */
export class HostLookups {
  readonly #addresses = new Addresses()
  readonly #addressesFor = new Question()
  readonly #nameFor = new Question()
  #hostName = ''
  #addressesWanted: Promise<void> | null = null
  #nameWanted: Promise<void> | null = null

  /** Addresses of the host; null = not before `learn`. */
  destinations(facts: AccessFacts): Addresses | null {
    const question = this.#addressesFor
    if (question.is(facts)) return question.answered ? this.#addresses : null
    const serial = question.ask(facts)
    const answer = addressesFor(facts)
    if (answer instanceof Promise) {
      const keep = (addresses: readonly string[]) => {
        if (question.answer(serial)) this.#addresses.set(addresses)
      }
      this.#addressesWanted = answer.then(keep, () => keep(noAddresses))
      return null
    }
    this.#addresses.set(answer)
    question.answer(serial)
    return this.#addresses
  }

  /** The name of a numeric host; '' = not numeric, or nameless; null = not before `learn`. */
  hostName(facts: AccessFacts): string | null {
    const question = this.#nameFor
    if (question.is(facts)) return question.answered ? this.#hostName : null
    const serial = question.ask(facts)
    const answer = nameFor(facts)
    if (answer instanceof Promise) {
      const keep = (name: string) => {
        if (question.answer(serial)) this.#hostName = name
      }
      this.#nameWanted = answer.then(keep, () => keep(''))
      return null
    }
    this.#hostName = answer
    question.answer(serial)
    return answer
  }

  async learn(): Promise<void> {
    await this.#addressesWanted
    await this.#nameWanted
  }
}

const addressesFor = (facts: AccessFacts): readonly string[] | Promise<readonly string[]> => {
  if (facts.host === '') return noAddresses
  const numeric = canonicalAddress(facts.host)
  if (numeric !== null) return [numeric]
  return facts.names === null ? noAddresses : facts.names.addressesOf(facts.host)
}

const nameFor = (facts: AccessFacts): string | Promise<string> => {
  const numeric = canonicalAddress(facts.host)
  return numeric === null || facts.names === null ? '' : facts.names.nameOf(numeric)
}

const noAddresses: readonly string[] = []

/** The addresses of a host in numbers; an array seen before is not read again. */
export class Addresses {
  readonly keys: IpKey[] = []
  count = 0
  #source: readonly string[] = noAddresses

  set(addresses: readonly string[]): void {
    if (addresses === this.#source) return
    this.#source = addresses
    this.count = addresses.length
    while (this.keys.length < this.count) this.keys.push(new IpKey(''))
    for (let i = 0; i < this.count; i++) this.keys[i]?.set(addresses[i] ?? '')
  }
}

/** Which host was asked about, and when: the same host within the same millisecond is the same question. */
class Question {
  answered = false
  #host = ''
  #now = wallMs(-1)
  #serial = 0

  is(facts: AccessFacts): boolean {
    return this.#host === facts.host && this.#now === facts.now
  }

  ask(facts: AccessFacts): number {
    this.#host = facts.host
    this.#now = facts.now
    this.answered = false
    return ++this.#serial
  }

  /** False: something else has been asked since, the answer comes too late. */
  answer(serial: number): boolean {
    if (serial !== this.#serial) return false
    this.answered = true
    return true
  }
}
