import { crc32 } from 'node:zlib'
import { type DurationMs, wallMs } from '../../../base/index.ts'
import { sharedNames, sharedText } from '../../admit.ts'
import type { CacheKey } from '../../key.ts'
import { type FreshnessSource, freshnessSources, type StoredFacts } from '../../stored-response.ts'
import { noTags } from '../../tags.ts'
import { normalValue, type Selecting } from '../../vary.ts'

// A stored response as bytes: everything but its content. A checksum comes first, so that what a disk has changed is
// noticed and never served:
//
//   crc32 of the rest │ numbers, 8 bytes each │ lengths, 4 bytes each │ key, uri, head, content type, etag, selecting, tags
//
// Whoever changes the layout, or the ledger's tables, raises `recordFormat`: a store of another format is emptied.

export const recordFormat = 5

/** What the record says of the content, which lies elsewhere. */
export interface ContentFacts {
  /** Never used twice in one store: names this response through all its updates. */
  readonly serial: number
  readonly bytes: number
  /** Of content kept beside the record; 0 for content in a file. */
  readonly crc: number
}

export interface DiskRecord extends ContentFacts {
  readonly facts: StoredFacts
}

const numberCount = 14
const textCount = 7
const textsAt = 4 + numberCount * 8 + textCount * 4
/** No field value holds one. */
const tagComma = '\n'
/** In place of a length: the text is absent. */
const absent = 0xffffffff

/** In a fixed order: their place is what is written. Append only. */
const sources: readonly FreshnessSource[] = Object.keys({
  's-maxage': 0, 'max-age': 0, 'expires': 0, 'last-modified': 0, 'minimum': 0, 'none': 0, 'negative-ttl': 0,
  'clock-set-back': 0,
} satisfies Record<keyof typeof freshnessSources, 0>) as FreshnessSource[] // keys of just that record

export const encodeRecord = (facts: StoredFacts, content: ContentFacts): Buffer => {
  const selecting = facts.selecting === null ? null : JSON.stringify([facts.selecting.names, facts.selecting.received])
  const texts = [
    facts.key, facts.uri === facts.key ? null : facts.uri, facts.head, facts.contentType, facts.etag, selecting,
    facts.tags.length === 0 ? null : facts.tags.join(tagComma),
  ]
  let length = textsAt
  for (const text of texts) length += text?.length ?? 0
  const record = Buffer.allocUnsafe(length)
  let at = 4
  const numbers = [
    content.serial, content.bytes, content.crc, facts.status, facts.contentLength, facts.responseTime, facts.bornAt,
    facts.date, facts.lifetime, sources.indexOf(facts.lifetimeSource), facts.flags, facts.staleWhileRevalidate,
    facts.staleIfError, facts.lastModified,
  ]
  for (const number of numbers) at = record.writeDoubleLE(number, at)
  for (const text of texts) at = record.writeUInt32LE(text === null ? absent : text.length, at)
  for (const text of texts) if (text !== null) at += record.write(text, at, 'latin1')
  record.writeUInt32LE(crc32(record.subarray(4)), 0)
  return record
}

/** The key alone; '' where the bytes make no sense. */
export const keyOfRecord = (record: Buffer): string => {
  if (record.length < textsAt) return ''
  return record.toString('latin1', textsAt, textsAt + record.readUInt32LE(4 + numberCount * 8))
}

/** The tags alone; none where the bytes make no sense. */
export const tagsOfRecord = (record: Buffer): readonly string[] => {
  if (record.length < textsAt) return noTags
  const length = record.readUInt32LE(textsAt - 4) // theirs is the last text
  if (length === absent || textsAt + length > record.length) return noTags
  return record.toString('latin1', record.length - length).split(tagComma)
}

/** Null: these are not the bytes that were written. */
export const decodeRecord = (record: Buffer): DiskRecord | null => {
  if (record.length < textsAt || crc32(record.subarray(4)) !== record.readUInt32LE(0)) return null
  const number = (index: number): number => record.readDoubleLE(4 + index * 8)
  let at = textsAt
  let index = 0
  const text = (): string | null => {
    const length = record.readUInt32LE(4 + numberCount * 8 + index++ * 4)
    if (length === absent) return null
    at += length
    return record.toString('latin1', at - length, at)
  }
  const key = text() ?? ''
  const uri = text() ?? key
  const head = text() ?? ''
  const contentType = sharedText(text() ?? '')
  const etag = text()
  const selecting = selectingOf(text())
  const tags = text()
  if (at !== record.length) return null
  return {
    serial: number(0),
    bytes: number(1),
    crc: number(2),
    facts: {
      key: key as CacheKey, // it was one when it was written
      uri,
      status: number(3),
      head,
      contentLength: number(4),
      contentType,
      responseTime: wallMs(number(5)),
      bornAt: wallMs(number(6)),
      date: wallMs(number(7)),
      lifetime: number(8) as DurationMs,
      lifetimeSource: sources[number(9)] ?? 'none',
      flags: number(10),
      staleWhileRevalidate: number(11) as DurationMs,
      staleIfError: number(12) as DurationMs,
      etag,
      lastModified: wallMs(number(13)),
      selecting,
      tags: tags === null ? noTags : tags.split(tagComma).map(sharedText),
    },
  }
}

const selectingOf = (text: string | null): Selecting | null => {
  if (text === null) return null
  const [names, received] = JSON.parse(text) as [string[], (string | null)[]] // the checksum says it is what we wrote
  const normalised = received.map((value, i) => {
    if (value === null) return null
    const normal = normalValue(names[i] ?? '', value)
    return normal === value ? value : normal
  })
  return { names: sharedNames(names), received, normalised }
}
