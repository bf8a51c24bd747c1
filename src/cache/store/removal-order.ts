import { agedRank, type RemovalPolicy } from './removal-policy.ts'

// The order in which the entries of a store leave it: a heap with the lowest rank on top. Entries are small numbers, and
// all that is known of them stands in arrays of numbers: 36 bytes each, and nothing for the collector to follow.
//
// A use only ever raises a rank, so it is written down and the heap is left as it is; what reaches the top with a rank
// that is not its present one sinks to where it belongs. So a use costs two writes, and the order is exact all the same.
//
//   rank[entry]       present        rankInHeap[place]   when it was last moved; never above the present one
//   place[entry] ◄──► heap[place]

const entriesMin = 64

export class RemovalOrder {
  #policy: RemovalPolicy
  /** lru: uses of all. Otherwise the rank of the last one that left. */
  #age = 0
  #count = 0
  #rank = new Float64Array(entriesMin)
  #uses = new Uint32Array(entriesMin)
  #bytes = new Float64Array(entriesMin)
  #place = new Uint32Array(entriesMin)
  #heap = new Uint32Array(entriesMin)
  #rankInHeap = new Float64Array(entriesMin)

  constructor(policy: RemovalPolicy) {
    this.#policy = policy
  }

  get policy(): RemovalPolicy {
    return this.#policy
  }

  get count(): number {
    return this.#count
  }

  /** `uses`: those it has had, with this one. */
  add(entry: number, bytes: number, uses: number): void {
    if (entry >= this.#rank.length) this.#grow(entry)
    this.#bytes[entry] = bytes
    this.#uses[entry] = uses
    this.#rank[entry] = this.#nextRank(uses, bytes)
    this.#put(this.#count, entry)
    this.#rise(this.#count++)
  }

  use(entry: number): void {
    const uses = this.usesOf(entry) + 1
    this.#uses[entry] = uses
    this.#rank[entry] = this.#policy === 'lru' ? ++this.#age : this.#nextRank(uses, this.#bytes[entry] as number)
  }

  usesOf(entry: number): number {
    return this.#uses[entry] as number // of those added
  }

  /** Not because there was no room: the others do not age. */
  remove(entry: number): void {
    const place = this.#place[entry] as number
    const last = --this.#count
    if (place === last) return
    this.#put(place, this.#heap[last] as number, this.#rankInHeap[last] as number)
    this.#rise(place)
    this.#sink(place)
  }

  /** Takes out the one whose turn it is; there must be one. */
  removeFirst(): number {
    const entry = this.#first()
    if (this.#policy !== 'lru') this.#age = this.#rank[entry] as number
    this.remove(entry)
    return entry
  }

  /** Another policy. It starts from the order there is, and from the uses it knows of. */
  changePolicy(policy: RemovalPolicy): void {
    const order: number[] = []
    while (this.#count > 0) {
      const entry = this.#first()
      this.remove(entry)
      order.push(entry)
    }
    this.#policy = policy
    this.#age = 0
    for (const entry of order) this.add(entry, this.#bytes[entry] as number, this.usesOf(entry))
  }

  #nextRank(uses: number, bytes: number): number {
    return this.#policy === 'lru' ? ++this.#age : agedRank(this.#policy, this.#age, uses, bytes)
  }

  #first(): number {
    for (;;) {
      const entry = this.#heap[0] as number
      const rank = this.#rank[entry] as number
      if (this.#rankInHeap[0] === rank) return entry
      this.#rankInHeap[0] = rank
      this.#sink(0)
    }
  }

  #put(place: number, entry: number, rank: number = this.#rank[entry] as number): void {
    this.#heap[place] = entry
    this.#rankInHeap[place] = rank
    this.#place[entry] = place
  }

  #rise(from: number): void {
    const entry = this.#heap[from] as number
    const rank = this.#rankInHeap[from] as number
    let place = from
    while (place > 0) {
      const above = (place - 1) >> 1
      const rankAbove = this.#rankInHeap[above] as number
      if (rankAbove <= rank) break
      this.#put(place, this.#heap[above] as number, rankAbove)
      place = above
    }
    if (place !== from) this.#put(place, entry, rank)
  }

  #sink(from: number): void {
    const entry = this.#heap[from] as number
    const rank = this.#rankInHeap[from] as number
    let place = from
    for (;;) {
      let below = 2 * place + 1
      if (below >= this.#count) break
      if (below + 1 < this.#count && (this.#rankInHeap[below + 1] as number) < (this.#rankInHeap[below] as number)) below++
      const rankBelow = this.#rankInHeap[below] as number
      if (rankBelow >= rank) break
      this.#put(place, this.#heap[below] as number, rankBelow)
      place = below
    }
    if (place !== from) this.#put(place, entry, rank)
  }

  #grow(entry: number): void {
    const length = Math.max(entry + 1, this.#rank.length * 2)
    const numbers = (former: Float64Array): Float64Array<ArrayBuffer> => {
      const larger = new Float64Array(length)
      larger.set(former)
      return larger
    }
    const counts = (former: Uint32Array): Uint32Array<ArrayBuffer> => {
      const larger = new Uint32Array(length)
      larger.set(former)
      return larger
    }
    this.#rank = numbers(this.#rank)
    this.#bytes = numbers(this.#bytes)
    this.#rankInHeap = numbers(this.#rankInHeap)
    this.#uses = counts(this.#uses)
    this.#place = counts(this.#place)
    this.#heap = counts(this.#heap)
  }
}
