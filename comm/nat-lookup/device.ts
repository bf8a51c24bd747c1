import { constants } from 'node:os'
import { errnoName } from '../error.ts'
import type { Access, Files, Kernel, Pointer } from './kernel.ts'

// /dev/pf and /dev/ipnat: opened once, before privileges go, and kept.

export type DeviceAnswer =
  | { readonly kind: 'answered' }
  | { readonly kind: 'refused'; readonly errno: number }
  | { readonly kind: 'unopened'; readonly why: string }

const { EACCES, EBADF, ENODEV, ENXIO } = constants.errno

/** The device went away (module unloaded, descriptor closed under us). Other refusals are about the question. */
const goneErrnos: readonly number[] = [EBADF, ENXIO, ENODEV]

export class Device {
  readonly #path: string
  readonly #kernel: Kernel
  readonly #files: Files
  /** Some systems want a writable descriptor for a question that writes nothing; reading is tried first. */
  readonly #mayWrite: boolean
  #access: Access = 'read'
  #fd = -1

  constructor(path: string, kernel: Kernel, files: Files, options: { readonly mayWrite: boolean }) {
    this.#path = path
    this.#kernel = kernel
    this.#files = files
    this.#mayWrite = options.mayWrite
  }

  /**
   * Asks, and asks once more on a new descriptor where a new one can help. A kernel that refuses leaves the argument as
   * it was, so it can be asked with twice.
   */
  ask(request: number, argument: Uint8Array, pointers: readonly Pointer[]): DeviceAnswer {
    const first = this.#askOnce(request, argument, pointers)
    if (first.kind !== 'refused' || !this.#makeWay(first.errno)) return first
    return this.#askOnce(request, argument, pointers)
  }

  /** Null when it is open, else why it cannot be opened. ENOENT here is a missing module, not a missing entry. */
  open(): string | null {
    if (this.#fd >= 0) return null
    const fd = this.#files.open(this.#path, this.#access)
    if (fd < 0) return `${this.#path} cannot be opened: ${errnoName(-fd)}${openHints[errnoName(-fd)] ?? ''}`
    this.#fd = fd
    return null
  }

  close(): void {
    if (this.#fd >= 0) this.#files.close(this.#fd)
    this.#fd = -1
  }

  #askOnce(request: number, argument: Uint8Array, pointers: readonly Pointer[]): DeviceAnswer {
    const why = this.open()
    if (why !== null) return { kind: 'unopened', why }
    const answer = this.#kernel.ioctl(this.#fd, request, argument, pointers)
    return answer >= 0 ? { kind: 'answered' } : { kind: 'refused', errno: -answer }
  }

  #makeWay(errno: number): boolean {
    if (errno === EACCES && this.#mayWrite && this.#access === 'read') {
      this.#access = 'read-write'
      this.close()
      return true
    }
    if (!goneErrnos.includes(errno)) return false
    // a number that is not open any more may be somebody else's by the time we close it
    if (errno === EBADF) this.#fd = -1
    else this.close()
    return true
  }
}

const openHints: Readonly<Record<string, string>> = {
  ENOENT: ' (is the packet filter loaded?)',
  ENXIO: ' (is the packet filter loaded?)',
  EACCES: ' (it has to be opened before privileges are dropped)',
  EPERM: ' (it has to be opened before privileges are dropped)',
}
