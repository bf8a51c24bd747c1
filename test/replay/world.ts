// A web of made-up objects. Everything about one (size, how long it lives, how often it changes, what it varies on, when
// its origin is ill) follows from its number and a seed, so that origin, oracle and the ideal cache know the same world
// without telling one another, and a run can be repeated.

export interface World {
  readonly seed: number
  readonly objects: number
  /** Seconds of a day of this world: lifetimes and changes are parts of it. */
  readonly day: number
}

export type Language = 'de' | 'en' | 'fr'
export type Vary = 'nothing' | 'coding' | 'language' | 'everything'

export interface Thing {
  readonly id: number
  readonly path: string
  readonly kind: Kind
  readonly bytes: number
  readonly vary: Vary
  /** Seconds between two versions, and when the first ends. */
  readonly period: number
  readonly phase: number
  /** Seconds it may be used; -1: heuristic, by Last-Modified. 0 with `no-cache`. */
  readonly lifetime: number
  readonly chunked: boolean
  readonly etag: boolean
}

/** Shares of a hundred, roughly as archives of the web tell. */
const kinds = [
  ['static', 38],
  ['page', 18],
  ['expires', 6],
  ['heuristic', 12],
  ['validated', 6],
  ['strict', 4],
  ['while-revalidate', 3],
  ['private', 5],
  ['no-store', 4],
  ['missing', 3],
  ['moved', 1],
] as const
export type Kind = (typeof kinds)[number][0]

/** Well mixed: neighbours have nothing in common. */
export const mixed = (a: number, b: number, c = 0): number => {
  let h = Math.imul(a ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(b + 0x7f4a7c15, 0xc2b2ae35) ^ Math.imul(c + 0x165667b1, 0x27d4eb2f)
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

const share = (seed: number, id: number, about: number): number => mixed(seed, id, about) / 2 ** 32

const aspects = { kind: 1, bytes: 2, bytes2: 3, vary: 4, period: 5, phase: 6, lifetime: 7, chunked: 8, etag: 9 } as const

export const thing = (world: World, id: number): Thing => {
  const by = (aspect: keyof typeof aspects) => share(world.seed, id, aspects[aspect])
  const kind = kindOf(by('kind'))
  return {
    id,
    path: `/h${id % 211}/${kind}/${id}`,
    kind,
    bytes: kind === 'moved' ? 0 : sizeOf(by('bytes'), by('bytes2')),
    vary: kind === 'missing' || kind === 'moved' ? 'nothing' : varyOf(by('vary')),
    period: periodOf(kind, by('period'), world.day),
    phase: Math.floor(by('phase') * world.day),
    lifetime: lifetimeOf(kind, by('lifetime'), world.day),
    chunked: by('chunked') < 0.3,
    etag: kind === 'validated' || by('etag') < 0.8,
  }
}

const kindOf = (at: number): Kind => {
  let left = at * 100
  for (const [kind, part] of kinds) if ((left -= part) < 0) return kind
  return 'static'
}

/** Log-normal with a median of 5 KB, and a heavy tail; nothing beyond 2 MB. */
const sizeOf = (u: number, v: number): number => {
  const normal = Math.sqrt(-2 * Math.log(u + 1e-9)) * Math.cos(2 * Math.PI * v)
  return Math.floor(Math.min(2 * 1024 * 1024, 5000 * Math.exp(1.4 * normal)))
}

const varyOf = (at: number): Vary => (at < 0.15 ? 'coding' : at < 0.18 ? 'language' : at < 0.185 ? 'everything' : 'nothing')

const periodOf = (kind: Kind, at: number, day: number): number => {
  if (kind === 'static') return Math.floor(day * (2 + 300 * at))
  if (kind === 'private' || kind === 'no-store') return Math.max(1, Math.floor(day / 1000))
  return Math.max(1, Math.floor(day * (0.01 + 2 * at * at)))
}

const lifetimeOf = (kind: Kind, at: number, day: number): number => {
  switch (kind) {
    case 'static':
      return Math.floor(day * (0.05 + 30 * at * at))
    case 'page':
    case 'strict':
    case 'while-revalidate':
    case 'expires':
    case 'missing':
    case 'moved':
      return Math.max(1, Math.floor(day * (0.002 + 0.2 * at * at)))
    case 'heuristic':
      return -1
    default:
      return 0
  }
}

/** stale-while-revalidate of those that have it. */
export const staleWindow = (world: World, of: Thing): number =>
  of.kind === 'while-revalidate' ? Math.max(1, Math.floor(world.day / 50)) : 0

/** The how-manieth version it is at `second`, from 0; what unsafe requests do to it comes on top. */
export const epochAt = (of: Thing, second: number): number => Math.floor((second + of.phase) / of.period)

/** The second in which that version began. */
export const beganAt = (of: Thing, epoch: number): number => epoch * of.period - of.phase

/** Is its origin ill at this second: it answers 503, or breaks off in the middle. */
export const illness = (world: World, of: Thing, second: number): 'well' | 'unavailable' | 'breaks-off' => {
  const spell = Math.floor(second / Math.max(1, world.day / 200))
  const at = mixed(world.seed ^ 0x5bd1e995, of.id, spell) % 1000
  return at < 4 ? 'unavailable' : at < 6 ? 'breaks-off' : 'well'
}

// --- content: a stretch of a pool of random bytes, another one for each version and variant

const poolBytes = 6 * 1024 * 1024
let pool: Buffer | null = null

const madePool = (): Buffer => {
  const words = new Uint32Array(poolBytes / 4)
  let x = 0x2545f491
  for (let i = 0; i < words.length; i++) {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    words[i] = x
  }
  return Buffer.from(words.buffer)
}

/** `version` as in the X-Version field: tells epoch and number of changes apart. */
export const contentOf = (of: Thing, variant: string, version: string): Buffer => {
  pool ??= madePool()
  let h = of.id
  for (const c of `${variant}|${version}`) h = mixed(h, c.charCodeAt(0))
  const at = h % (poolBytes - of.bytes)
  return pool.subarray(at, at + of.bytes)
}
