import { addressToBytes, type Endpoint, type Family } from '../src/base/index.ts'
import type { Addon } from '../native/index.ts'
import { errnoName } from './error.ts'
import { attribute, NetlinkSocket, protocols, requestFlags } from './netlink.ts'

// The other form of waiting: not a socket for each place, but an element in a set of nf_tables, and one listener that a
// rule brings all of them to. For many thousands at once, where descriptors are dear. The set is the kernel's, its
// elements have a lease, and an element says who is expected, so that a third party is not even answered by us.
//
//   ip saddr . ip daddr . tcp dport @expected4 ─► tproxy to the one listener      (intercept/rules/nft.ts makes set and rule)
//
// Spoken to nf_tables itself (linux/netfilter/nf_tables.h): a transaction of one message, 12 ms cheaper than the program nft.
// It needs CAP_NET_ADMIN, which the sockets do not.

export interface ExpectSet {
  /** null, or why not. `from` null: anybody. */
  add(foreign: Endpoint, from: Endpoint | null, ttlMs: number): string | null
  remove(foreign: Endpoint, from: Endpoint | null): void
  close(): void
}

/** Of the table that `glassquid rules` makes. */
export const expectTable = 'glassquid'
export const expectSetName = (family: Family, anybody: boolean): string => `expected${family}${anybody ? '_by_all' : ''}`

const subsystem = 10
const messages = { newElement: (subsystem << 8) | 12, deleteElement: (subsystem << 8) | 14, begin: 0x10, end: 0x11 } as const
const inetFamily = 1
const listAttribute = { table: 1, set: 2, elements: 3 } as const
const elementAttribute = { element: 1, key: 1, value: 1, timeout: 4 } as const

/** Throws when the sets are not there, or we may not change them. */
export const createExpectSet = (addon: Addon): ExpectSet => {
  const socket = new NetlinkSocket(addon, protocols.netfilter, 0)
  const set = new NftExpectSet(socket)
  try {
    // what a former process left would only run out by its lease
    for (const family of [4, 6] as const) for (const anybody of [false, true]) set.flush(expectSetName(family, anybody))
  } catch (error) {
    socket.close()
    throw error
  }
  return set
}

class NftExpectSet implements ExpectSet {
  readonly #socket: NetlinkSocket
  /** How many wait for the same peer at the same place: the set holds it once. */
  readonly #counts = new Map<string, number>()

  constructor(socket: NetlinkSocket) {
    this.#socket = socket
  }

  add(foreign: Endpoint, from: Endpoint | null, ttlMs: number): string | null {
    const key = keyText(foreign, from)
    const present = this.#counts.get(key) ?? 0
    // a lease cannot be made longer: the element is put in anew
    if (present > 0) this.#change(messages.deleteElement, foreign, from, null)
    const errno = this.#change(messages.newElement, foreign, from, ttlMs)
    if (errno !== 0) return `nf_tables refuses the element: ${errnoName(errno)}`
    this.#counts.set(key, present + 1)
    return null
  }

  remove(foreign: Endpoint, from: Endpoint | null): void {
    const key = keyText(foreign, from)
    const left = (this.#counts.get(key) ?? 0) - 1
    if (left > 0) this.#counts.set(key, left)
    else if (this.#counts.delete(key)) this.#change(messages.deleteElement, foreign, from, null) // ENOENT: its lease has run out
  }

  flush(name: string): void {
    const errno = this.#transact(messages.deleteElement, requestFlags.ack, setBody(name, Buffer.alloc(0)))
    if (errno === 0) return
    throw new Error(
      `the set ${name} of the nft table ${expectTable} cannot be changed (${errnoName(errno)}): it is made by glassquid rules, and changing it needs CAP_NET_ADMIN`,
    )
  }

  close(): void {
    this.#socket.close()
  }

  #change(type: number, foreign: Endpoint, from: Endpoint | null, ttlMs: number | null): number {
    const key = nested(elementAttribute.key, attribute(elementAttribute.value, keyBytes(foreign, from)))
    const lease = ttlMs === null ? Buffer.alloc(0) : attribute(elementAttribute.timeout, bigEndian(ttlMs))
    const element = nested(listAttribute.elements, nested(elementAttribute.element, Buffer.concat([key, lease])))
    const flags = type === messages.newElement ? requestFlags.create | requestFlags.ack : requestFlags.ack
    return this.#transact(type, flags, setBody(expectSetName(foreign.family, from === null), element))
  }

  #transact(type: number, flags: number, body: Buffer): number {
    const edge = Buffer.from([0, 0, 0, subsystem])
    return this.#socket.batch(
      [
        { type: messages.begin, flags: 0, body: edge },
        { type, flags, body },
        { type: messages.end, flags: 0, body: edge },
      ],
      1,
    )
  }
}

const keyText = (foreign: Endpoint, from: Endpoint | null): string => `${from?.address ?? '*'} ${foreign.address} ${foreign.port}`

/** Each part of a key that is put together fills up to four bytes. */
const keyBytes = (foreign: Endpoint, from: Endpoint | null): Buffer => {
  const width = foreign.family === 4 ? 4 : 16
  const key = Buffer.alloc((from === null ? 1 : 2) * width + 4)
  let at = 0
  for (const address of from === null ? [foreign.address] : [from.address, foreign.address]) {
    addressToBytes(address, key, at)
    at += width
  }
  key.writeUInt16BE(foreign.port, at)
  return key
}

const setBody = (name: string, elements: Buffer): Buffer =>
  Buffer.concat([
    Buffer.from([inetFamily, 0, 0, 0]),
    attribute(listAttribute.table, Buffer.from(`${expectTable}\0`)),
    attribute(listAttribute.set, Buffer.from(`${name}\0`)),
    elements,
  ])

const nestedFlag = 0x8000
const nested = (type: number, value: Buffer): Buffer => attribute(type | nestedFlag, value)

const bigEndian = (ms: number): Buffer => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(Math.ceil(ms)))
  return bytes
}
