import { assert, type DurationMs, type Seconds, type WallMs, wallMs } from '../base/index.ts'
import { Fields } from '../http/index.ts'
import { ageField, currentAge } from './age.ts'
import type { ContentSource } from './content-source.ts'
import { defaultRefreshRule, type RefreshRule } from './refresh-pattern.ts'
import type { CacheKey } from './key.ts'
import type { Selecting } from './vary.ts'

// One response as the cache keeps it. It does not change: a 304 makes a new one that shares the content, so whoever is
// still sending the old one is not disturbed. Everything a hit needs was worked out when it was made:
//
//   head     'HTTP/1.1 200 OK\r\nDate: …\r\n…'     the proxy writes head + its own lines (Age, Connection, Via, …)
//   body     buffers of our own, to be written as they are; or, where the content is not in memory,
//   content  where to read it
//   hitUntil a plain request at a time before this is a hit; one comparison
//
// What has been left out of `head`: hop-by-hop fields and those Connection names, Age, the fields that no-cache="…" and
// private="…" name, and Set-Cookie where the policy says so.

export const flag = {
  /** Validate at each use: unqualified no-cache, or stored although private. */
  noCache: 1,
  /** Never stale without validation: must-revalidate, proxy-revalidate, s-maxage (RFC 9111 5.2.2). */
  mustRevalidate: 2,
  immutable: 4,
  /** Without explicit freshness a heuristic may be used (RFC 9111 4.2.2). */
  heuristic: 8,
  /** A HEAD or an unsafe request showed that it is out of date: validate before the next use. */
  outdated: 16,
  /** Stored for HEAD: its Content-Length is that of a content we do not have. */
  headOnly: 32,
  /** no-store and private, as they stand in the fields: a refresh_pattern may have overruled them. */
  noStore: 64,
  private: 128,
} as const

/** Where the freshness lifetime came from; names as `explain` and the manager show them. */
export const freshnessSources = {
  's-maxage': 'Cache-Control: s-maxage',
  'max-age': 'Cache-Control: max-age',
  'expires': 'Expires minus Date',
  'last-modified': 'refresh_pattern: a share of the time since Last-Modified',
  'minimum': 'refresh_pattern: its minimum, nothing is known of the response',
  'negative-ttl': 'negative_ttl: an error that says nothing',
  'none': 'no freshness, and no heuristic is allowed',
  'clock-set-back': 'it was received at a time that is still to come: the clock was set back, and how old it is nobody knows',
} as const

export type FreshnessSource = keyof typeof freshnessSources

export interface StoredFacts {
  readonly key: CacheKey
  readonly uri: string
  readonly status: number
  readonly head: string
  /** -1 = not known before the end. */
  readonly contentLength: number
  readonly contentType: string
  readonly responseTime: WallMs
  readonly bornAt: WallMs
  readonly date: WallMs
  /** Explicit freshness lifetime; -1 = none. */
  readonly lifetime: DurationMs
  readonly lifetimeSource: FreshnessSource
  readonly flags: number
  /** -1 = the response does not say. */
  readonly staleWhileRevalidate: DurationMs
  readonly staleIfError: DurationMs
  /** As received, weak or strong; null = none, or none that can be read. */
  readonly etag: string | null
  /** -1 = none. */
  readonly lastModified: WallMs
  readonly selecting: Selecting | null
  /** What its origin calls it, for a purge of all of one kind. */
  readonly tags: readonly string[]
}

export class StoredResponse {
  readonly key: CacheKey
  readonly uri: string
  readonly status: number
  readonly head: string
  readonly contentLength: number
  readonly contentType: string
  readonly responseTime: WallMs
  readonly bornAt: WallMs
  readonly date: WallMs
  readonly lifetime: DurationMs
  readonly lifetimeSource: FreshnessSource
  readonly flags: number
  readonly staleWhileRevalidate: DurationMs
  readonly staleIfError: DurationMs
  readonly etag: string | null
  readonly lastModified: WallMs
  readonly selecting: Selecting | null
  readonly tags: readonly string[]
  /** Empty while the content is still coming, and where it is read from `content`. */
  readonly body: readonly Buffer[]
  /** Null: all content is in `body`. */
  readonly content: ContentSource | null

  /** Just read from disk: the first who delivers it says so in the log and resets this. */
  fromDisk = false
  /** Whoever looked it up is the only one who has it: see `release`. */
  lone = false
  /** See lent-content.ts, which alone writes both: hits of large content as far as they are counted, and blocks that were moved. */
  largeHits = 0
  lentBlocks = 0

  // What refresh_pattern makes of it: written by `judge` only, once per generation of the patterns.
  generation = 0
  rule: RefreshRule = defaultRefreshRule
  source: FreshnessSource = 'none'
  /** First moment at which it is stale, before any override. */
  staleAt: WallMs = wallMs(0)
  /** The same with the overrides of its refresh_pattern. */
  freshUntil: WallMs = wallMs(0)
  /** Before this a request without Cache-Control, Pragma or conditions is a hit. */
  hitUntil: WallMs = wallMs(0)

  constructor(facts: StoredFacts, body: readonly Buffer[], content: ContentSource | null = null) {
    this.key = facts.key
    this.uri = facts.uri
    this.status = facts.status
    this.head = facts.head
    this.contentLength = facts.contentLength
    this.contentType = facts.contentType
    this.responseTime = facts.responseTime
    this.bornAt = facts.bornAt
    this.date = facts.date
    this.lifetime = facts.lifetime
    this.lifetimeSource = facts.lifetimeSource
    this.flags = facts.flags
    this.staleWhileRevalidate = facts.staleWhileRevalidate
    this.staleIfError = facts.staleIfError
    this.etag = facts.etag
    this.lastModified = facts.lastModified
    this.selecting = facts.selecting
    this.tags = facts.tags
    this.body = body
    this.content = content
  }

  has(bit: number): boolean {
    return (this.flags & bit) !== 0
  }

  /** RFC 9111 4.2.3. */
  age(now: WallMs): DurationMs {
    return currentAge(this.bornAt, now)
  }

  /** The value of Age in a response made now. */
  ageField(now: WallMs): Seconds {
    return ageField(this.bornAt, now)
  }

  get hasValidator(): boolean {
    return this.etag !== null || this.lastModified >= 0
  }

  /**
   * The memory of its body is given back, and the body is empty from here on. For a lone one that has been sent: left to
   * the collector, V8 marks all of its heap whenever such buffers come to 64 MB.
   */
  release(): void {
    assert(this.lone, 'only a response that nobody else has is released')
    for (const { buffer } of this.body) if (buffer instanceof ArrayBuffer) buffer.transfer(0)
  }

  /**
   * The fields of `head`, read from it anew at each call: half a million stored responses would keep twice the memory
   * for something that only validation and logs ask for.
   */
  fields(): Fields {
    return fieldsOfHead(this.head)
  }
}

/** Reads what `headText` wrote. */
export const fieldsOfHead = (head: string): Fields => {
  const pairs: string[] = []
  let at = head.indexOf('\r\n') + 2
  while (at < head.length) {
    const colon = head.indexOf(':', at)
    const end = head.indexOf('\r\n', colon)
    pairs.push(head.slice(at, colon), head.slice(colon + 2, end))
    at = end + 2
  }
  return Fields.from(pairs)
}

/** `HTTP/1.1 200 OK` and the fields, each with its CRLF; the empty line is the writer's. One flat string. */
export const headText = (status: number, reasonPhrase: string, pairs: readonly string[]): string => {
  const parts: string[] = [`HTTP/1.1 ${status} ${reasonPhrase}\r\n`]
  for (let i = 0; i + 1 < pairs.length; i += 2) {
    parts.push(pairs[i] as string, ': ', pairs[i + 1] as string, '\r\n') // i + 1 < length
  }
  return parts.join('')
}

/** The reason phrase in the status line of a stored head. */
export const reasonPhraseOf = (head: string): string => head.slice(13, head.indexOf('\r\n'))

/**
 * A copy that does not keep the string it was cut from in memory: a name of ten bytes would otherwise hold a head of
 * some kilobytes. Heads are latin1.
 */
export const detached = (text: string): string => Buffer.from(text, 'latin1').toString('latin1')
