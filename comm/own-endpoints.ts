import { networkInterfaces } from 'node:os'
import { type Clock, canonicalAddress, type Endpoint, type MonoMs } from '../src/base/index.ts'

// Tells a connection to ourselves from one that was on its way elsewhere. The port is looked at first: only an
// original destination with a port we listen on makes us ask for the machine's addresses, and those are remembered.

const rememberMs = 5000

export class OwnEndpoints {
  readonly #clock: Clock
  readonly #interfaces: () => readonly string[]
  /** How many listeners have the port. */
  readonly #ports = new Map<number, number>()
  #addresses = new Set<string>()
  #readAt: MonoMs | null = null

  constructor(clock: Clock, interfaces: () => readonly string[] = machineAddresses) {
    this.#clock = clock
    this.#interfaces = interfaces
  }

  /** A listener came up. */
  add(e: Endpoint): void {
    this.#ports.set(e.port, (this.#ports.get(e.port) ?? 0) + 1)
  }

  remove(e: Endpoint): void {
    const left = (this.#ports.get(e.port) ?? 0) - 1
    if (left > 0) this.#ports.set(e.port, left)
    else this.#ports.delete(e.port)
  }

  /** The machine's addresses have changed. */
  forget(): void {
    this.#readAt = null
  }

  hasPort(port: number): boolean {
    return this.#ports.has(port)
  }

  /** A field, not a method: it is handed to the nat look-up as it is. */
  readonly isOwn = (e: Endpoint): boolean => this.hasPort(e.port) && this.isLocal(e.address)

  /** An address of this machine. */
  readonly isLocal = (address: string): boolean => {
    if (address.startsWith('127.') || address === '::1' || address === '0.0.0.0' || address === '::') return true
    const now = this.#clock.mono()
    if (this.#readAt === null || now - this.#readAt >= rememberMs) {
      this.#readAt = now
      this.#addresses = this.#read() ?? this.#addresses
    }
    return this.#addresses.has(address)
  }

  /** Asking takes a descriptor, and there may be none left: what is known then holds until the next time. */
  #read(): Set<string> | null {
    try {
      return new Set(this.#interfaces())
    } catch {
      return null
    }
  }
}

const machineAddresses = (): readonly string[] => {
  const found: string[] = []
  for (const list of Object.values(networkInterfaces())) {
    for (const { address } of list ?? []) {
      const canonical = canonicalAddress(address.split('%')[0] ?? address)
      if (canonical !== null) found.push(canonical)
    }
  }
  return found
}
