import { readFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { type Clock, canonicalAddress, ms, type Timer } from '../../src/base/index.ts'
import { type Interface, InterfaceTable } from './table.ts'
import { KnownInterfaces } from './interfaces.ts'

/** How late a change is seen where the kernel cannot be listened to. */
export const watchedEveryMs = 5000

/**
 * Without the addon: what Node tells, looked at again every few seconds while somebody wants to know. It shows only
 * interfaces that are up and have addresses; groups are read from /sys.
 */
export class WatchedInterfaces extends KnownInterfaces {
  readonly live = false
  readonly #clock: Clock
  #table = readTable()
  #timer: Timer | null = null

  constructor(clock: Clock, failed: (error: unknown, where: string) => void) {
    super(failed)
    this.#clock = clock
    this.#wait()
  }

  get byIndex(): ReadonlyMap<number, Interface> {
    return this.#table.byIndex
  }

  cameBy(): null {
    return null
  }

  towards(): null {
    return null
  }

  close(): void {
    this.#timer?.cancel()
    this.#timer = null
  }

  #wait(): void {
    this.#timer = this.#clock.after(ms(watchedEveryMs), () => this.#look(), { unref: true })
  }

  #look(): void {
    this.#wait()
    const table = readTable()
    if (JSON.stringify([...table.byIndex]) === JSON.stringify([...this.#table.byIndex])) return
    this.#table = table
    this.changed()
  }
}

const readTable = (): InterfaceTable => {
  const table = new InterfaceTable()
  for (const [name, list] of Object.entries(networkInterfaces())) {
    const index = ofSystem(name, 'ifindex')
    table.setLink({ index, name, group: ofSystem(name, 'netdev_group'), up: true })
    for (const { address } of list ?? []) {
      const canonical = canonicalAddress(address.split('%')[0] ?? address)
      if (canonical === null) continue
      table.setAddress(index, { family: canonical.includes(':') ? 6 : 4, address: canonical, linkLocal: canonical.startsWith('fe80:') })
    }
  }
  return table
}

/** 0 where there is no /sys, or none of ours. */
const ofSystem = (name: string, file: string): number => {
  try {
    return Number(readFileSync(`/sys/class/net/${name}/${file}`, 'latin1')) || 0
  } catch {
    return 0
  }
}
