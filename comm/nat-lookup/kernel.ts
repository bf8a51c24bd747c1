import { closeSync, constants as fsConstants, openSync } from 'node:fs'
import { constants } from 'node:os'
import { errnoOf } from '../../src/base/index.ts'

// The few primitives the back ends are built on. Everything else is packing of bytes, so that every byte for every
// system can be proved on any other.

/** During the call the address of `view` stands at `at` in the argument. */
export interface Pointer {
  readonly at: number
  readonly view: Uint8Array
}

export interface Kernel {
  /** What ioctl(2) answered, or the negative errno. `request` is unsigned: FreeBSD complains of a sign-extended one. */
  ioctl(fd: number, request: number, argument: Uint8Array, pointers: readonly Pointer[]): number
  /** Fills `value`; answers the length the kernel tells, or the negative errno. */
  getsockopt(fd: number, level: number, name: number, value: Uint8Array): number
}

/** How devices are opened. Node sets close-on-exec on everything it opens. */
export interface Files {
  /** The descriptor, or the negative errno. */
  open(path: string, access: Access): number
  close(fd: number): void
}

export type Access = 'read' | 'read-write'

export const systemFiles: Files = {
  open(path, access) {
    try {
      return openSync(path, access === 'read' ? fsConstants.O_RDONLY : fsConstants.O_RDWR)
    } catch (error) {
      return -errnoNumber(errnoOf(error))
    }
  },
  close(fd) {
    try {
      closeSync(fd)
    } catch {
      // it is given up in any case, and close(2) has no failure one could act on
    }
  },
}

const errnoNumber = (name: string): number =>
  Object.entries(constants.errno).find(([known]) => known === name)?.[1] ?? constants.errno.EIO

/**
 * The BSDs' and Solaris' _IOWR(group, number, a structure of `size` bytes): both directions in the top bits, 13 bits of
 * size, the group's letter, the number. Unsigned.
 */
export const iowr = (group: string, number: number, size: number): number =>
  (0xc0000000 | ((size & 0x1fff) << 16) | (group.charCodeAt(0) << 8) | number) >>> 0
