// native: the system calls Node has no words for, as an addon.
//
// holds          the addon (C++, one small file per facility), its loader, and the typed, checked surface over it
// does not hold  policy: which option when, what an answer means, who owns a descriptor is comm's
// called by      comm, cli
// calls          the kernel

import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

/** Answers that are negative are minus errno, unless said otherwise. */
export interface Addon {
  readonly revision: number
  /** `sources` and a digest of the files it was built from. */
  readonly sources: string
  createEngine(
    slab: Uint8Array,
    output: Uint8Array,
    records: Int32Array,
    commands: Int32Array,
    results: Int32Array,
    control: Int32Array,
    references: unknown[],
    onBatch: (count: number) => void,
    onFlushed: (count: number) => void,
  ): NativeEngine | number
  ioctl(fd: number, request: number, buffer: Uint8Array, offsets: Int32Array, views: readonly Uint8Array[]): number
  getOption(fd: number, level: number, name: number, buffer: Uint8Array): number
  setOption(fd: number, level: number, name: number, buffer: Uint8Array): number
  getsockname(fd: number, buffer: Uint8Array): number
  getpeername(fd: number, buffer: Uint8Array): number
  descriptorLimit(): number
  /** preadv2 with RWF_NOWAIT: bytes read (0 = the end), or -EAGAIN where a disk would have to be waited for. */
  readCached(fd: number, buffer: Uint8Array, position: number): number
  /** A descriptor. `groups` is a bit each, 32 of them. */
  netlinkOpen(protocol: number, groups: number): number
  netlinkSend(fd: number, bytes: Uint8Array): number
  /** The length of one datagram of the kernel's; EAGAIN: none, ENOBUFS: some were lost, EMSGSIZE: longer than the buffer. */
  netlinkReceive(fd: number, buffer: Uint8Array): number
  netlinkClose(fd: number): number
  /** A descriptor, connected to the datagram socket of that path; it never waits. */
  localOpen(path: Uint8Array): number
  localSend(fd: number, bytes: Uint8Array): number
  localClose(fd: number): number
  mapShared(fd: number, length: number): ArrayBuffer | number
  /** Memory whose pages sockets are given, to be written once; see lend.cc. */
  lend(length: number): ArrayBuffer | number
  /** `ids`: uid and gid. */
  findUser(name: string, ids: Uint32Array): number
  findGroup(name: string, ids: Uint32Array): number
  become(user: string, uid: number, gid: number, ownGroups: number, capabilities: number): number
  clearAmbient(): number
  noNewPrivileges(): number
  /** 0 = descriptors, 1 = cores; a negative value: as high as allowed. */
  setLimit(which: number, value: number): number
  /** A datagram to a Unix socket. */
  notify(path: string, bytes: Uint8Array): number
}

/**
 * One engine's functions. `open`, `listen` and `dial` answer a descriptor or a failure (see failedStep). Not checked
 * again here: the only caller is comm's native engine, and these are on the path of every request.
 */
export interface NativeEngine {
  close(): void
  open(family: number, flags: number, bindTo: Uint8Array | null, mark: number, tos: number, device: string | null): number
  listen(
    family: number,
    flags: number,
    bindTo: Uint8Array | null,
    mark: number,
    tos: number,
    device: string | null,
    backlog: number,
    asks: number,
  ): number
  /** Of a socket that others keep; closing it leaves that listening. */
  takeListener(from: number, family: number, flags: number, backlog: number, asks: number): number
  dial(
    family: number,
    flags: number,
    bindTo: Uint8Array | null,
    mark: number,
    tos: number,
    device: string | null,
    target: Uint8Array,
  ): number
  /** Before the first of the two below: `slab` has datagramSlots × datagramSlotBytes bytes. */
  useDatagrams(slab: Uint8Array): number
  receive(
    family: number,
    flags: number,
    bindTo: Uint8Array | null,
    mark: number,
    tos: number,
    device: string | null,
    bufferBytes: number,
    mask: number,
  ): number
  peer(
    family: number,
    flags: number,
    bindTo: Uint8Array | null,
    mark: number,
    tos: number,
    device: string | null,
    target: Uint8Array,
    local: Uint8Array,
  ): number
  tellDrained(fd: number): number
  hashAddresses(both: Uint8Array): number
  interest(fd: number, mask: number): number
  inputWaits(fd: number): number
  adopt(fd: number): number
  select(fd: number, mask: number): number
  release(fd: number): number
  doom(fd: number, reset: number): number
  flush(): number
  closeDoomed(): number
  send(fd: number, views: readonly Uint8Array[], count: number, skip: number): number
  shutdown(fd: number): number
  /**
   * Bytes of a file that the socket took, without their being read: 0 where it has no room; -EAGAIN where a disk would
   * have to be waited for, -ENODATA where the file has ended. A `writable` record follows when something is left, and with
   * `more` 1 in any case but a failure.
   */
  sendFile(fd: number, file: number, at: number, count: number, more: number): number
  relay(a: number, b: number, ended: number, limits: Int32Array): number
  relayBuckets(tokens: Float64Array): number
  relayResume(): number
  relayBytes(id: number, counts: Float64Array): number
  relayEnd(id: number, reset: number): number
}

// ---- numbers both sides know; the C++ side has them in engine.h and socket.cc

export const record = {
  data: 1,
  end: 2,
  error: 3,
  writable: 4,
  accepted: 5,
  acceptError: 6,
  connected: 7,
  ready: 8,
  relayed: 9,
  datagram: 10,
  datagramError: 11,
  drained: 12,
} as const

export const command = { slab: 1, reference: 2, shutdown: 3, datagram: 4, datagramIn: 5, datagramTo: 6 } as const
/** Indexes of the control block. */
export const control = { inTurn: 0, commands: 1, references: 2, wantsFlushed: 3, acceptable: 4, lent: 5, size: 8 } as const
export const readable = 1
export const writable = 2
export const askOriginal = 1
export const askLocal = 2
/** Bytes of one address in the slab; an accepted connection has three of them and the answer of SO_ORIGINAL_DST. */
export const addressBytes = 28
/** The datagram slab: a head with two addresses and their hash before each datagram. */
export const datagramSlots = 64
export const datagramHeadBytes = 64
export const datagramSlotBytes = datagramHeadBytes + 65536
/** In the output slab before a datagram with an address: sockaddr, 0 | 4 | 6, address to send from. */
export const addressBlockBytes = addressBytes + 20
/** Bits of `flags` beyond COMM_*. */
export const socketBits = { dualStack: 128, bindNoPort: 256, noDelay: 512, datagram: 1024, writesFirst: 2048 } as const

const steps = [
  'socket',
  'setsockopt(IPV6_V6ONLY)',
  'setsockopt(SO_REUSEADDR)',
  'setsockopt(SO_REUSEPORT)',
  'setsockopt(SO_BINDTODEVICE)',
  'setsockopt(SO_MARK)',
  'setsockopt(IP_TOS)',
  'setsockopt(IP_TRANSPARENT)',
  'setsockopt(IP_BIND_ADDRESS_NO_PORT)',
  'bind',
  'setsockopt(TCP_NODELAY)',
  'listen',
  'connect',
  'epoll_ctl',
  'getsockname',
  'setsockopt(IP_RECVORIGDSTADDR, IP_RECVERR)',
  'fcntl',
] as const

/** What a negative answer of open, listen or dial means. */
export const failedStep = (answer: number): { readonly syscall: string; readonly errno: number } => ({
  syscall: steps[Math.floor(-answer / 4096) - 1] ?? 'unknown',
  errno: -answer % 4096,
})

// ---- loading

/** Raised together with kRevision in addon.cc whenever what the two sides agree on changes. */
const revision = 10

export type Native =
  | { readonly present: true; readonly file: string; readonly addon: Addon }
  | { readonly present: false; readonly why: string }

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

const load = (): Native => {
  const name = `${process.platform}-${process.arch}`
  const chosen = process.env['GLASSQUID_NATIVE']
  if (chosen === 'none') return absent('GLASSQUID_NATIVE=none is set')
  const places = chosen !== undefined ? [chosen] : [here('build/glassquid.node'), here(`prebuilds/${name}.node`)]
  const require = createRequire(import.meta.url)
  let problem = `no addon for ${name} is shipped`
  for (const file of places) {
    if (!existsSync(file)) continue
    try {
      const addon = require(file) as Addon // its exports are what addon.cc puts there
      if (addon.revision === revision) return { present: true, file, addon }
      problem = `${file} was built from other sources (revision ${addon.revision}, wanted ${revision})`
    } catch (error) {
      problem = `${file} does not load: ${error instanceof Error ? error.message : String(error)}`
    }
  }
  return absent(problem)
}

const absent = (why: string): Native => ({
  present: false,
  why: `${why}. Without it there is no tproxy, no NAT look-up, no forged source, no mark and no splice. To build: native/build.sh (needs g++)`,
})

/** The addon, or why there is none. Looked for once per thread. */
export const native: Native = load()

// ---- checked calls on bare descriptors

const checkDescriptor = (fd: number): void => {
  if (!Number.isInteger(fd) || fd < 0) throw new TypeError(`not a descriptor: ${fd}`)
}

/** A part of an ioctl's argument that is a pointer: the address of `view` is written at `at`. */
export interface Pointer {
  readonly at: number
  readonly view: Uint8Array
}

/** `request` is taken as an unsigned 32-bit number. Answers what the kernel did, or minus errno. */
export const ioctl = (
  addon: Addon,
  fd: number,
  request: number,
  buffer: Uint8Array,
  pointers: readonly Pointer[] = [],
): number => {
  checkDescriptor(fd)
  if (!Number.isInteger(request) || request < 0 || request > 0xffff_ffff) {
    throw new TypeError(`an ioctl request is an unsigned 32-bit number, not ${request}`)
  }
  for (const { at } of pointers) {
    if (!Number.isInteger(at) || at < 0 || at + pointerBytes > buffer.length) {
      throw new RangeError(`a pointer at ${at} does not fit a buffer of ${buffer.length} bytes`)
    }
  }
  return addon.ioctl(fd, request, buffer, Int32Array.from(pointers, p => p.at), pointers.map(p => p.view))
}

const pointerBytes = ['ia32', 'arm', 'mips', 'mipsel'].includes(process.arch) ? 4 : 8

/**
 * The beginning of a file as memory that all who map it have in common; or minus errno. The file must have `length` bytes
 * and keep them: touching what was cut off ends the process. The descriptor may be closed at once.
 */
export const mapShared = (addon: Addon, fd: number, length: number): ArrayBuffer | number => {
  checkDescriptor(fd)
  if (!Number.isInteger(length) || length <= 0 || length > 0x7fff_ffff) throw new RangeError(`not a length: ${length}`)
  return addon.mapShared(fd, length)
}

/** Less is copied into sockets whatever it lies in: kLentMin in engine.h. */
export const lentBytesMin = 32 * 1024

/**
 * Memory for content that many will be sent: sockets take its pages, not a copy. Each byte may be written once, before it
 * is sent for the first time; whoever changes it later changes what is on its way. Null: there is none of this kind now.
 */
export const lend = (addon: Addon, length: number): Buffer | null => {
  if (!Number.isInteger(length) || length <= 0 || length > 0x7fff_ffff) throw new RangeError(`not a length: ${length}`)
  const memory = addon.lend(length)
  return typeof memory === 'number' ? null : Buffer.from(memory)
}

/** The integer value of a socket option. Throws what the kernel said. */
export const getOption = (addon: Addon, fd: number, level: number, name: number): number => {
  checkDescriptor(fd)
  const buffer = Buffer.alloc(4)
  const status = addon.getOption(fd, level, name, buffer)
  if (status < 0) throw new Error(`getsockopt(${level}, ${name}) failed: errno ${-status}`)
  return buffer.readInt32LE()
}

/** 0 or minus errno. */
export const setOption = (addon: Addon, fd: number, level: number, name: number, value: number): number => {
  checkDescriptor(fd)
  const buffer = Buffer.alloc(4)
  buffer.writeInt32LE(value | 0)
  return addon.setOption(fd, level, name, buffer)
}

/** uid and gid of a user's name or number; null: there is none. A number needs no entry, its group is the same number then. */
export const findUser = (addon: Addon, name: string): { readonly uid: number; readonly gid: number } | null => {
  const ids = new Uint32Array(2)
  const [uid = 0, gid = 0] = addon.findUser(name, ids) === 0 ? ids : /^\d{1,10}$/.test(name) ? [Number(name), Number(name)] : []
  return uid === 0 && gid === 0 && name !== 'root' && name !== '0' ? null : { uid, gid }
}

/** The number of a group's name or number; null: there is none. */
export const findGroup = (addon: Addon, name: string): number | null => {
  const ids = new Uint32Array(1)
  if (addon.findGroup(name, ids) === 0) return ids[0] ?? null
  return /^\d{1,10}$/.test(name) ? Number(name) : null
}

/** A message for a service manager (sd_notify). 0 or minus errno. */
export const notify = (addon: Addon, path: string, text: string): number => addon.notify(path, Buffer.from(text))
