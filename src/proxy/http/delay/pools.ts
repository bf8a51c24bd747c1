import type { Bandwidth, BandwidthShape } from '../../../../comm/bandwidth.ts'
import type { AccessFacts, AccessList, Condition } from '../../../acl/index.ts'
import { parseIPv6 } from '../../../base/index.ts'
import { CountHttp } from '../counters.ts'
import { type Buckets, KeyedBuckets } from './buckets.ts'

// Squid's delay pools. A pool has levels, each with one bucket or one per key, and what comes takes from all of them:
//
//   class 1   aggregate
//   class 2   aggregate   individual
//   class 3   aggregate   network   individual
//   class 4   aggregate   network   individual   user
//   class 5   tag
//
// An individual is a client's whole address, a network is an IPv4 /24 or an IPv6 /64: what one link has. (Squid keys on
// the last one or two octets, so that 10.0.0.7 and 10.9.0.7 share a bucket; and knows IPv6 in class 1 and 5 only.)

export const levelNames = ['aggregate', 'network', 'individual', 'user', 'tag'] as const
export type LevelName = (typeof levelNames)[number]

export interface PoolLevel {
  readonly name: LevelName
  readonly shape: BandwidthShape
}

/** What one transaction or connection may take from; to be given back. */
export interface Taken {
  readonly limits: readonly Bandwidth[]
  giveBack(): void
}

/** Who takes. '' = not known; then the level that asks for it does not limit. */
export interface Taker {
  readonly address: string
  readonly user: string
  readonly tag: string
}

export class Pool {
  readonly access: AccessList
  #levels: readonly { readonly name: LevelName; readonly buckets: KeyedBuckets }[]

  constructor(access: AccessList, levels: readonly PoolLevel[]) {
    this.access = access
    this.#levels = levels.map(({ name, shape }) => ({ name, buckets: new KeyedBuckets(shape) }))
  }

  /** The same buckets, for others. */
  sharedBy(access: AccessList): Pool {
    const pool = new Pool(access, [])
    pool.#levels = this.#levels
    return pool
  }

  /** Null: nothing limits it here. */
  take(who: Taker, buckets: Buckets): Taken | null {
    const limits: Bandwidth[] = []
    const held: [KeyedBuckets, string][] = []
    for (const level of this.#levels) {
      const key = keyAt(level.name, who)
      if (key === '') continue
      const bucket = level.buckets.take(key, buckets)
      if (bucket === null) {
        CountHttp.delayBucketsFull++
        continue
      }
      limits.push(bucket)
      held.push([level.buckets, key])
    }
    if (limits.length === 0) return null
    return {
      limits,
      giveBack() {
        for (const [from, key] of held.splice(0)) from.giveBack(key)
      },
    }
  }

  retire(): void {
    for (const { buckets } of this.#levels) buckets.retire()
  }
}

const keyAt = (level: LevelName, who: Taker): string => {
  switch (level) {
    case 'aggregate':
      return 'all'
    case 'network':
      return networkOf(who.address)
    case 'individual':
      return who.address
    case 'user':
      return who.user
    case 'tag':
      return who.tag
  }
}

/** A /24 or a /64. */
export const networkOf = (address: string): string => {
  const groups = address.includes(':') ? parseIPv6(address) : null
  if (groups === null) return address.slice(0, address.lastIndexOf('.'))
  return [...groups].slice(0, 4).map(group => group.toString(16)).join(':')
}

/** Of several the first that allows takes it. */
export const poolFor = (pools: readonly Pool[], facts: AccessFacts): Pool | null =>
  pools.find(pool => pool.access.checkFast(facts).allowed) ?? null

/** The pool of responses: a bucket for each response, and one for all of them. */
export class ResponsePool {
  readonly access: AccessList
  readonly #individual: BandwidthShape | null
  readonly #aggregate: KeyedBuckets | null

  constructor(access: AccessList, individual: BandwidthShape | null, aggregate: BandwidthShape | null) {
    this.access = access
    this.#individual = individual
    this.#aggregate = aggregate === null ? null : new KeyedBuckets(aggregate)
  }

  take(buckets: Buckets): Taken | null {
    const limits: Bandwidth[] = []
    const shared = this.#aggregate?.take('all', buckets) ?? null
    if (shared !== null) limits.push(shared)
    const own = this.#individual === null ? null : opened(this.#individual, buckets)
    if (own !== null) limits.push(own)
    if (limits.length === 0) return null
    let given = false
    return {
      limits,
      giveBack: () => {
        if (given) return
        given = true
        if (shared !== null) this.#aggregate?.giveBack('all')
        own?.close()
      },
    }
  }

  retire(): void {
    this.#aggregate?.retire()
  }
}

const opened = (shape: BandwidthShape, buckets: Buckets): Bandwidth | null => {
  try {
    return buckets.open(shape)
  } catch {
    CountHttp.delayBucketsFull++ // all of the process are in use
    return null
  }
}

export interface DelayPools {
  /** What servers send: misses and tunnels. */
  readonly server: readonly Pool[]
  /** Of these bytes of each response nothing is counted; the first line that matches. */
  readonly free: readonly { readonly bytes: number; readonly when: Condition }[]
  /** What clients send, with their requests and through tunnels (delay_client_request_access). */
  readonly requests: readonly Pool[]
  /** What clients receive, hits included (delay_client_reply_access). */
  readonly replies: readonly Pool[]
  /** What clients receive, hits included. */
  readonly client: readonly Pool[]
  readonly response: readonly ResponsePool[]
}

export const retire = (pools: DelayPools | null): void => {
  for (const pool of pools === null ? [] : [...pools.server, ...pools.requests, ...pools.replies, ...pools.client, ...pools.response]) pool.retire()
}

/** Bytes that may pass now, the poorest bucket's. */
export const leftOf = (limits: readonly Bandwidth[]): number => {
  let least = Number.POSITIVE_INFINITY
  for (const limit of limits) least = Math.min(least, limit.left(1))
  return least
}

export const takeFrom = (limits: readonly Bandwidth[], bytes: number): void => {
  for (const limit of limits) limit.take(1, bytes)
}
