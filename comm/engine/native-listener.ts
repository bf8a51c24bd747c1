import { type Addon, addressBytes, ioctl, readable } from '../../native/index.ts'
import type { Endpoint } from '../../src/base/index.ts'
import type { Connection } from '../connection.ts'
import type { Pausable } from '../fd-budget.ts'
import {
  createNatLookup,
  decideGetsockname,
  decideNetfilter,
  direct,
  type NatLookup,
  type OriginalDestination,
  type OwnEndpointTest,
  sockaddrToEndpoint,
} from '../nat-lookup/index.ts'
import type { FdEntry, Listener, ListenOptions } from './engine.ts'
import type { NativeEngine } from './native.ts'
import { NativeConnection } from './native-connection.ts'

/** Our end and the look-up's answer as they stand in the slab. */
const answerBytes = 2 * addressBytes + 4

export class NativeListener implements Listener, Pausable {
  readonly endpoint: Endpoint
  readonly fd: number
  readonly #engine: NativeEngine
  readonly #options: ListenOptions
  readonly #fixedLocal: boolean
  readonly #lookup: NatLookup | null
  readonly #onConnection: (connection: Connection) => void
  #pausedByOwner = false
  #pausedByBudget = false
  #closed = false
  #accepted = 0
  readonly #openedAt: number
  // Most connections have the same local end as the one before: the two objects are shared then.
  readonly #lastBytes = Buffer.alloc(answerBytes)
  #lastLocal: Endpoint
  #lastOriginal: OriginalDestination | null = null

  /** `fixedLocal`: bound to one address of ours; the addon has not asked for the local end. */
  constructor(
    engine: NativeEngine,
    fd: number,
    endpoint: Endpoint,
    options: ListenOptions,
    fixedLocal: boolean,
    lookup: NatLookup | null,
    onConnection: (connection: Connection) => void,
  ) {
    this.#engine = engine
    this.fd = fd
    this.endpoint = endpoint
    this.#options = options
    this.#fixedLocal = fixedLocal
    this.#lookup = lookup
    this.#onConnection = onConnection
    this.#lastLocal = endpoint
    this.#openedAt = engine.seconds()
  }

  /** Its addresses stand in the slab at `at`. */
  accepted(fd: number, slab: Buffer, at: number): void {
    const engine = this.#engine
    this.#accepted++
    const peer = sockaddrToEndpoint(slab, at) ?? nobody
    const original = this.#answer(fd, slab, at, peer)
    const connection = new NativeConnection(
      engine,
      engine.host.nextId(),
      fd,
      peer,
      this.#lastLocal,
      original,
      this.#options.note,
      engine.turnSeconds(),
    )
    engine.place(connection)
    this.#onConnection(connection)
  }

  #answer(fd: number, slab: Buffer, at: number, peer: Endpoint): OriginalDestination {
    const start = at + addressBytes
    if (this.#lastOriginal !== null && this.#lastBytes.compare(slab, start, start + answerBytes) === 0) {
      if (this.#holdsStill(this.#lastOriginal)) return this.#lastOriginal
    }
    slab.copy(this.#lastBytes, 0, start, start + answerBytes)
    if (!this.#fixedLocal) this.#lastLocal = sockaddrToEndpoint(slab, start) ?? this.endpoint
    const { ownEndpoints } = this.#engine.host
    this.#lastOriginal = lookUp(this.#options, this.#lookup, ownEndpoints.isOwn, slab, at, fd, peer, this.#lastLocal)
    return this.#lastOriginal
  }

  /** The same question may be answered anew: by a device, or because an address or a listener of ours came or went. */
  #holdsStill(original: OriginalDestination): boolean {
    if (this.#options.natBackend === 'none') return true
    if (this.#lookup !== null) return false
    if (original.kind !== 'nat' && original.kind !== 'tproxy') return original.kind !== 'direct'
    return !this.#engine.host.ownEndpoints.hasPort(original.destination.port)
  }

  pause(): void {
    this.#pausedByOwner = true
    this.#ask()
  }

  resume(): void {
    this.#pausedByOwner = false
    this.#ask()
  }

  pauseForBudget(): void {
    this.#pausedByBudget = true
    this.#ask()
  }

  resumeFromBudget(): void {
    this.#pausedByBudget = false
    this.#ask()
  }

  #ask(): void {
    if (this.#closed) return
    this.#engine.native.interest(this.fd, this.#pausedByOwner || this.#pausedByBudget ? 0 : readable)
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#lookup?.close()
    this.#engine.closeListener(this)
  }

  entry(): FdEntry {
    return {
      fd: this.fd,
      kind: 'listener',
      peer: null,
      local: this.endpoint,
      note: `${this.#options.note} (${this.#accepted} accepted)`,
      bytesRead: 0,
      bytesWritten: 0,
      ageMs: (this.#engine.seconds() - this.#openedAt) * 1000,
      deadlineMs: 0,
    }
  }
}

/** accept(2) always tells the peer of a TCP connection; this is for the type. */
const nobody: Endpoint = { family: 4, address: '0.0.0.0', port: 0 }

/** What a listener's back end says of an accepted connection whose addresses stand at `at`. */
const lookUp = (
  options: ListenOptions,
  lookup: NatLookup | null,
  isOwn: OwnEndpointTest,
  slab: Buffer,
  at: number,
  fd: number,
  peer: Endpoint,
  local: Endpoint,
): OriginalDestination => {
  switch (options.natBackend) {
    case 'none':
      return direct
    case 'getsockname':
      return decideGetsockname(local, isOwn)
    case 'netfilter':
      return decideNetfilter(slab, at + 2 * addressBytes, slab.readInt32LE(at + 3 * addressBytes), local, isOwn)
    default:
      return lookup?.originalDestination({ fd, peer, local }) ?? direct
  }
}

/** PF and IPFilter are asked through a device, per connection; the others have told all they know at accept. */
export const deviceLookup = (addon: Addon, { natBackend }: ListenOptions, isOwnEndpoint: OwnEndpointTest): NatLookup | null => {
  if (natBackend !== 'pf' && natBackend !== 'ipfilter') return null
  return createNatLookup({
    backend: natBackend,
    isOwnEndpoint,
    kernel: {
      ioctl: (fd, request, argument, pointers) => ioctl(addon, fd, request, argument, pointers),
      getsockopt: (fd, level, name, value) => addon.getOption(fd, level, name, value),
    },
  })
}
