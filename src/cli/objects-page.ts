import type { Clock, WallMs } from '../base/index.ts'
import { type CachePolicy, type CacheKey, reuse, type Selection, type Store, type StoredResponse, timeToLive } from '../cache/index.ts'
import { type Arguments, type Page, type PageRefusal, refusedPage } from '../manager/index.ts'
import { selectionOf } from './purge-page.ts'

// What is stored: a line each, as many as wished, of those that are meant. The same words as for a purge, so that one can
// look first:
//
//   max=100   host=NAME or .DOMAIN   prefix=URI   regex=POSIX   iregex=POSIX   tag=TAG

interface StoredObject {
  readonly key: string
  readonly status: number
  /** -1 = not known. */
  readonly bytes: number
  readonly contentType: string
  readonly ageSeconds: number
  /** Negative: stale for so long. */
  readonly freshSeconds: number
  /** What a plain request would get. */
  readonly use: string
  readonly where: readonly string[]
  readonly vary: readonly string[]
  readonly tags: readonly string[]
}

interface Objects {
  readonly objects: readonly StoredObject[]
  /** There are more that are meant. */
  readonly more: boolean
}

export interface ObjectsSource {
  readonly clock: Clock
  /** As they are at that moment. */
  readonly store: () => Store
  readonly policy: () => CachePolicy
  readonly whereIs: (key: CacheKey) => readonly string[]
}

const usualMax = 100
const mostMax = 10_000
/** Keys between two turns of others; disk rows are read for them. */
const stepKeys = 64

/** At a time: each may go through all that is stored. */
const walksMax = 2

export const objectsPage = (source: ObjectsSource): Page<Objects> => {
  let walks = 0
  return {
    name: 'objects',
    doc: 'What is stored: max= host= prefix= regex= tag=',
    protection: 'public',
    effect: 'shows',
    async answer(args) {
      const wish = read(args)
      if ('ok' in wish) return wish
      if (walks >= walksMax) return refusedPage(503, `${walks} others are looking at that moment: try again`)
      walks++
      try {
        return { ok: true, value: await collected(source, wish) }
      } finally {
        walks--
      }
    },
    text: ({ objects, more }) => `${objects.map(objectLine).join('')}${more ? `... and more than these ${objects.length}: say max=N\n` : ''}`,
  }
}

interface Wish {
  readonly max: number
  readonly selection: Selection
}

const everything: Selection = { tag: null, selects: () => true }

const read = (args: Arguments): Wish | PageRefusal => {
  const text = args.get('max') ?? String(usualMax)
  const max = Number(text)
  if (!/^\d{1,6}$/.test(text) || max < 1 || max > mostMax) return refusedPage(400, `max '${text}': a number from 1 to ${mostMax}`)
  let selection = everything
  for (const [name, value] of args) {
    if (name === 'max' || name === 'format') continue
    if (selection !== everything) return refusedPage(400, 'one of host=, prefix=, regex=, iregex= and tag= at a time')
    const selected = value === '' ? refusedPage(400, `${name} is empty`) : selectionOf(name, value)
    if ('ok' in selected) return selected
    selection = selected
  }
  return { max, selection }
}

const collected = async ({ clock, store, policy, whereIs }: ObjectsSource, { max, selection }: Wish): Promise<Objects> => {
  const now = clock.wall()
  const objects = new Map<StoredResponse, StoredObject>()
  const seen = new Set<CacheKey>()
  const walk = store().walk(selection)
  for (let keys = walk.next(stepKeys); keys !== null; keys = walk.next(stepKeys)) {
    for (const key of keys) {
      if (seen.has(key)) continue // in both tiers
      seen.add(key)
      for (const stored of (await store().peek(key)) ?? []) {
        if (objects.size === max) {
          walk.end()
          return { objects: [...objects.values()], more: true }
        }
        objects.set(stored, described(stored, key, policy(), whereIs(key), now))
      }
    }
    await new Promise(setImmediate)
  }
  return { objects: [...objects.values()], more: false }
}

const described = (stored: StoredResponse, key: CacheKey, policy: CachePolicy, where: readonly string[], now: WallMs): StoredObject => ({
  key,
  status: stored.status,
  bytes: stored.contentLength,
  contentType: stored.contentType,
  ageSeconds: Math.floor(stored.age(now) / 1000),
  use: reuse(stored, null, policy, now).reason, // judges it by the present conf, which the next line needs
  freshSeconds: Math.floor(timeToLive(stored, now) / 1000),
  where,
  vary: stored.selecting?.names ?? [],
  tags: stored.tags,
})

const objectLine = (o: StoredObject): string => {
  const more = [
    ...(o.vary.length === 0 ? [] : [`vary=${o.vary.join(',')}`]),
    ...(o.tags.length === 0 ? [] : [`tags=${o.tags.join(',')}`]),
  ]
  return `${[o.status, o.bytes, `age=${o.ageSeconds}`, `ttl=${o.freshSeconds}`, o.use, o.where.join('+') || 'gone', o.contentType || '-', o.key, ...more].join(' ')}\n`
}
