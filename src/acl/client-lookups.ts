import type { Endpoint } from '../base/index.ts'
import type { AccessFacts } from './access-facts.ts'

/** The mark of its connection as the kernel tracks it; null = the kernel does not say. */
export type ConnectionMarkOf = (from: Endpoint, to: Endpoint) => number | null

/** What can be found out about a client. What is known already is answered at once; a rejection counts as ''. */
export interface AclClients {
  /** Connections this address has open, the present one included. */
  connectionsOf(address: string): number
  /** The name of a canonical address, lower case; '' = it has none. */
  nameOf(address: string): string | Promise<string>
  /** The Ethernet address of a neighbour, `aa:bb:cc:dd:ee:ff`; '' = it is none, as everybody behind a router. */
  hardwareOf(address: string): string | Promise<string>
  /** Between its ends as it was begun, before any NAT. */
  readonly connectionMarkOf: ConnectionMarkOf
}

/** What was looked up about the client of a connection: each once. Made when the first ACL asks; most never do. */
export class ClientLookups {
  readonly #name = new Lookup()
  readonly #hardware = new Lookup()

  name(facts: AccessFacts): string | null {
    return this.#name.of(facts, (clients, address) => clients.nameOf(address))
  }

  hardware(facts: AccessFacts): string | null {
    return this.#hardware.of(facts, (clients, address) => clients.hardwareOf(address))
  }

  async learn(): Promise<void> {
    await this.#name.wanted
    await this.#hardware.wanted
  }
}

class Lookup {
  wanted: Promise<void> | null = null
  #answer: string | null = null

  of({ clients, client }: AccessFacts, ask: (clients: AclClients, address: string) => string | Promise<string>): string | null {
    if (this.#answer !== null || this.wanted !== null || clients === null) return this.#answer
    const answer = ask(clients, client.address)
    if (typeof answer === 'string') {
      this.#answer = answer
      return answer
    }
    const keep = (found: string) => {
      this.#answer = found
    }
    this.wanted = answer.then(keep, () => keep(''))
    return null
  }
}
