import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type { Clock, MonoMs } from '../src/base/index.ts'

// The Ethernet addresses of those on our networks, as the kernel knows them: it has just answered them, so it does.
// IPv4 stands in /proc/net/arp; IPv6 is asked of ip(8).

/** How long what was read counts. A host that changes its address mid-way is told apart a second later. */
const arpMs = 1000
const neighbourMs = 60_000
const neighboursMax = 4096
const askingMax = 32
const answerMsMax = 2000

export interface Neighbours {
  /** `aa:bb:cc:dd:ee:ff`; '' = no neighbour. Never rejects. */
  hardwareOf(address: string): string | Promise<string>
}

export interface NeighbourSources {
  /** The text of /proc/net/arp. */
  readonly arp: () => string
  /** What `ip -6 neigh show to ADDRESS` says. */
  readonly neigh: (address: string) => Promise<string>
}

export const createNeighbours = (clock: Clock, sources: NeighbourSources = systemSources): Neighbours => new KernelNeighbours(clock, sources)

class KernelNeighbours implements Neighbours {
  readonly #clock: Clock
  readonly #sources: NeighbourSources
  #arp: ReadonlyMap<string, string> = new Map()
  #arpUntil = -1
  /** IPv6, oldest first. */
  readonly #known = new Map<string, { readonly hardware: string; readonly until: MonoMs }>()
  readonly #asking = new Map<string, Promise<string>>()

  constructor(clock: Clock, sources: NeighbourSources) {
    this.#clock = clock
    this.#sources = sources
  }

  hardwareOf(address: string): string | Promise<string> {
    const now = this.#clock.mono()
    if (!address.includes(':')) {
      if (now >= this.#arpUntil) {
        this.#arp = this.#readArp()
        this.#arpUntil = now + arpMs
      }
      return this.#arp.get(address) ?? ''
    }
    const known = this.#known.get(address)
    if (known !== undefined && now < known.until) return known.hardware
    return this.#asking.get(address) ?? this.#ask(address)
  }

  #readArp(): ReadonlyMap<string, string> {
    try {
      return parseArp(this.#sources.arp())
    } catch {
      return new Map() // not Linux, or no /proc
    }
  }

  #ask(address: string): string | Promise<string> {
    if (this.#asking.size >= askingMax) return ''
    const asked = this.#sources.neigh(address).then(parseNeigh, () => '').then(hardware => {
      this.#asking.delete(address)
      this.#known.delete(address)
      this.#known.set(address, { hardware, until: (this.#clock.mono() + neighbourMs) as MonoMs })
      for (const oldest of this.#known.keys()) {
        if (this.#known.size <= neighboursMax) break
        this.#known.delete(oldest)
      }
      return hardware
    })
    this.#asking.set(address, asked)
    return asked
  }
}

/** `IP address  HW type  Flags  HW address  Mask  Device`; flag 2 = complete, type 1 = Ethernet. */
const parseArp = (text: string): ReadonlyMap<string, string> => {
  const found = new Map<string, string>()
  for (const line of text.split('\n').slice(1)) {
    const [address, type, flags, hardware] = line.split(/\s+/)
    if (address === undefined || hardware === undefined || Number(type) !== 1 || (Number(flags) & 2) === 0) continue
    found.set(address, hardware.toLowerCase())
  }
  return found
}

const parseNeigh = (text: string): string => /\blladdr ([0-9a-f:]{17})\b/i.exec(text)?.[1]?.toLowerCase() ?? ''

const systemSources: NeighbourSources = {
  arp: () => readFileSync('/proc/net/arp', 'latin1'),
  neigh: address =>
    new Promise((resolve, reject) => {
      execFile('ip', ['-6', 'neigh', 'show', 'to', address], { timeout: answerMsMax, maxBuffer: 65536 }, (error, stdout) => {
        if (error === null) resolve(stdout)
        else reject(error)
      })
    }),
}
