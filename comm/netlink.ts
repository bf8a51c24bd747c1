import { constants } from 'node:os'
import type { Addon } from '../native/index.ts'
import { errnoName } from './error.ts'

// Netlink, the kernel's own protocol for what it knows of interfaces, routes and rules: a socket, and the frames every
// message of it has (linux/netlink.h). Numbers are in the byte order of the machine, which is little-endian on all that
// the addon is built for.
//
//   nlmsghdr  length u32 | type u16 | flags u16 | sequence u32 | port u32, then the body; the next one at a multiple of 4
//   nlattr    length u16 | type u16, then the value; the next one at a multiple of 4

export const headerBytes = 16
const attributeBytes = 4

export const protocols = { route: 0, netfilter: 12 } as const
export const requestFlags = { request: 1, ack: 4, dump: 0x300, create: 0x400, excl: 0x200 } as const
const dumpInterrupted = 0x10
const messageTypes = { error: 2, done: 3 } as const

/** The kernel fills a dump's datagrams up to what the reader's buffer holds, 32 KB at most. */
const bufferBytes = 32 * 1024

/** A message: its type, and where its body is. `body` is used again afterwards. */
export type EachMessage = (type: number, body: Buffer, start: number, end: number) => void

export class NetlinkSocket {
  readonly fd: number
  readonly #addon: Addon
  readonly #buffer = Buffer.allocUnsafeSlow(bufferBytes)
  #sequence = 0

  /** Throws with the system's word. */
  constructor(addon: Addon, protocol: number, groups: number) {
    this.#addon = addon
    this.fd = addon.netlinkOpen(protocol, groups)
    if (this.fd < 0) throw new Error(`no netlink socket: ${errnoName(-this.fd)}`)
  }

  /**
   * Asks, and reads what is answered: the kernel does so at once, within the call. Whatever else comes meanwhile is given
   * to `each` as well. Answers 0, or the errno. A dump during which something changed is EINTR.
   */
  ask(type: number, flags: number, body: Buffer, each: EachMessage): number {
    const sequence = ++this.#sequence
    const sent = this.#addon.netlinkSend(this.fd, frame(type, flags | requestFlags.request, sequence, body))
    if (sent < 0) return -sent
    const dump = (flags & requestFlags.dump) === requestFlags.dump
    const answer: Answer = { sequence, dump, ack: (flags & requestFlags.ack) !== 0, over: false, errno: 0 }
    // each datagram of a dump brings something new: a machine with more would have millions of addresses
    for (let datagrams = 0; !answer.over && datagrams < 100_000; datagrams++) {
      const length = this.#addon.netlinkReceive(this.fd, this.#buffer)
      if (length < 0) return -length
      this.#read(length, each, answer)
    }
    return answer.errno
  }

  /** Messages sent one after the other in one datagram, as nf_tables wants them. Answers 0 or the first errno told. */
  batch(messages: readonly { readonly type: number; readonly flags: number; readonly body: Buffer }[], acks: number): number {
    const parts = messages.map(({ type, flags, body }) => frame(type, flags | requestFlags.request, ++this.#sequence, body))
    const sent = this.#addon.netlinkSend(this.fd, Buffer.concat(parts))
    if (sent < 0) return -sent
    let errno = 0
    for (let left = acks; left > 0;) {
      const length = this.#addon.netlinkReceive(this.fd, this.#buffer)
      if (length === -constants.errno.EAGAIN) break // it stops at the first that fails, and says no more
      if (length < 0) return -length
      eachMessage(this.#buffer, length, (type, start) => {
        if (type !== messageTypes.error) return
        left--
        const told = -this.#buffer.readInt32LE(start)
        if (errno === 0) errno = told
      })
    }
    return errno
  }

  /** What has come by itself. False: some of it was lost, and everything has to be asked for again. */
  drain(each: EachMessage): boolean {
    for (;;) {
      const length = this.#addon.netlinkReceive(this.fd, this.#buffer)
      if (length === -constants.errno.EAGAIN) return true
      if (length < 0) return false
      this.#read(length, each, null)
    }
  }

  /** When nobody watches it. */
  close(): void {
    this.#addon.netlinkClose(this.fd)
  }

  #read(length: number, each: EachMessage, answer: Answer | null): void {
    const buffer = this.#buffer
    eachMessage(buffer, length, (type, start, end, flags, sequence) => {
      const mine = answer !== null && sequence === answer.sequence
      if (type === messageTypes.done || type === messageTypes.error) {
        if (!mine) return
        answer.over = true
        if (type === messageTypes.error) answer.errno = -buffer.readInt32LE(start)
        return
      }
      each(type, buffer, start, end)
      if (!mine) return
      if (flags & dumpInterrupted) answer.errno = constants.errno.EINTR
      if (!answer.dump && !answer.ack) answer.over = true
    })
  }
}

interface Answer {
  readonly sequence: number
  readonly dump: boolean
  readonly ack: boolean
  over: boolean
  errno: number
}

const eachMessage = (
  buffer: Buffer,
  length: number,
  each: (type: number, start: number, end: number, flags: number, sequence: number) => void,
): void => {
  for (let at = 0; at + headerBytes <= length;) {
    const bytes = buffer.readUInt32LE(at)
    if (bytes < headerBytes || at + bytes > length) return
    each(buffer.readUInt16LE(at + 4), at + headerBytes, at + bytes, buffer.readUInt16LE(at + 6), buffer.readUInt32LE(at + 8))
    at += aligned(bytes)
  }
}

const frame = (type: number, flags: number, sequence: number, body: Buffer): Buffer => {
  const message = Buffer.alloc(aligned(headerBytes + body.length))
  message.writeUInt32LE(headerBytes + body.length, 0)
  message.writeUInt16LE(type, 4)
  message.writeUInt16LE(flags, 6)
  message.writeUInt32LE(sequence, 8)
  body.copy(message, headerBytes)
  return message
}

/** Attributes in [at, end). The flags in the type (nested, network order) are left out. */
export const eachAttribute = (
  buffer: Buffer,
  at: number,
  end: number,
  each: (type: number, start: number, end: number) => void,
): void => {
  for (let next = at; next + attributeBytes <= end;) {
    const bytes = buffer.readUInt16LE(next)
    if (bytes < attributeBytes || next + bytes > end) return
    each(buffer.readUInt16LE(next + 2) & 0x3fff, next + attributeBytes, next + bytes)
    next += aligned(bytes)
  }
}

export const attribute = (type: number, value: Uint8Array): Buffer => {
  const buffer = Buffer.alloc(aligned(attributeBytes + value.length))
  buffer.writeUInt16LE(attributeBytes + value.length, 0)
  buffer.writeUInt16LE(type, 2)
  buffer.set(value, attributeBytes)
  return buffer
}

const aligned = (bytes: number): number => (bytes + 3) & ~3
