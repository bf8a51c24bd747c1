import type { Family } from '../../src/base/index.ts'

// What is known of this machine's interfaces, kept as the kernel tells it.

export interface Interface {
  /** The kernel's number; never used again for another one while the machine runs. */
  readonly index: number
  readonly name: string
  readonly group: number
  readonly up: boolean
  readonly addresses: readonly InterfaceAddress[]
}

export interface InterfaceAddress {
  readonly family: Family
  readonly address: string
  /** Means something on this interface only: fe80::/10. A socket for it has to be bound to the interface. */
  readonly linkLocal: boolean
}

export interface LinkFacts {
  readonly index: number
  readonly name: string
  readonly group: number
  readonly up: boolean
}

/** More are not taken in: a machine with so many is not one whose interfaces are bound one by one. */
const interfacesMax = 65_536
const addressesPerInterfaceMax = 4096

export class InterfaceTable {
  readonly #links = new Map<number, LinkFacts>()
  readonly #addresses = new Map<number, Map<string, InterfaceAddress>>()
  /** Made anew for whoever asks after a change. */
  #view: ReadonlyMap<number, Interface> | null = null

  /** By index, in its order. */
  get byIndex(): ReadonlyMap<number, Interface> {
    this.#view ??= new Map(
      [...this.#links.values()]
        .sort((a, b) => a.index - b.index)
        .map(link => [link.index, { ...link, addresses: [...(this.#addresses.get(link.index)?.values() ?? [])] }]),
    )
    return this.#view
  }

  /** True: something is otherwise than before. */
  setLink(link: LinkFacts): boolean {
    const before = this.#links.get(link.index)
    if (before?.name === link.name && before.group === link.group && before.up === link.up) return false
    if (before === undefined && this.#links.size >= interfacesMax) return false
    this.#links.set(link.index, link)
    this.#view = null
    return true
  }

  removeLink(index: number): boolean {
    this.#addresses.delete(index)
    if (!this.#links.delete(index)) return false
    this.#view = null
    return true
  }

  setAddress(index: number, address: InterfaceAddress): boolean {
    const of = this.#addresses.get(index) ?? new Map<string, InterfaceAddress>()
    if (of.has(address.address) || of.size >= addressesPerInterfaceMax) return false
    of.set(address.address, address)
    this.#addresses.set(index, of)
    this.#view = null
    return true
  }

  removeAddress(index: number, address: string): boolean {
    if (this.#addresses.get(index)?.delete(address) !== true) return false
    this.#view = null
    return true
  }
}
