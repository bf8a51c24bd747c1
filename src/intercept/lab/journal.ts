import { ms, systemClock } from '../../base/index.ts'
import { type AccessRecord, parseAccessRecord } from './access-record.ts'
import type { Sight } from './origin-program.ts'
import type { Running } from './running.ts'

// What proxy and origin have said about requests, as it comes. Both write their line when they are done with a request,
// which may be a moment after the client is.

/** A record that is late by this much does not come. */
const waitMsMax = 5000
/** Lines nobody asked about are kept this long: by-hand requests of a long evening. */
const keptMax = 1000

export class Journal {
  readonly #records: AccessRecord[] = []
  readonly #sights: Sight[] = []
  readonly #waiting = new Set<() => void>()
  /** Called with each record of a request made by hand. */
  onByHand: (record: AccessRecord) => void = () => {}

  constructor(proxy: Running, origin: Running) {
    proxy.onLine(line => {
      const record = parseAccessRecord(line)
      if (record === null) return
      keep(this.#records, record)
      if (record.row === '') this.onByHand(record)
      this.#look()
    })
    origin.onLine(line => {
      if (!line.startsWith('{')) return
      keep(this.#sights, JSON.parse(line) as Sight) // our own program's line
      this.#look()
    })
  }

  recordOf(row: string): Promise<AccessRecord | null> {
    return this.#once(() => this.#records.find(record => record.row === row))
  }

  sightOf(row: string): Promise<Sight | null> {
    return this.#once(() => this.#sights.find(sight => sight.row === row))
  }

  /** What the origin saw of the connection the record names, if it comes soon. */
  sightAt(address: string, port: number, path: string): Promise<Sight | null> {
    return this.#once(() => this.#sights.findLast(sight => sight.peer === address && sight.peerPort === port && sight.path === path))
  }

  sightsOf(row: string): readonly Sight[] {
    return this.#sights.filter(sight => sight.row === row)
  }

  #once<T>(find: () => T | undefined): Promise<T | null> {
    return new Promise(resolve => {
      const look = () => {
        const found = find()
        if (found === undefined) return
        this.#waiting.delete(look)
        deadline.cancel()
        resolve(found)
      }
      const deadline = systemClock.after(ms(waitMsMax), () => {
        this.#waiting.delete(look)
        resolve(null)
      })
      this.#waiting.add(look)
      look()
    })
  }

  #look(): void {
    for (const look of [...this.#waiting]) look()
  }
}

const keep = <T>(list: T[], item: T): void => {
  list.push(item)
  if (list.length > keptMax) list.shift()
}
