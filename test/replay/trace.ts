import type { Language } from './world.ts'

// Who asks for what, in order: object n is asked for about 1 / n^0.85 times as often as the first. Repeatable by seed.

export interface Asked {
  readonly object: number
  readonly method: 'GET' | 'HEAD' | 'POST'
  readonly coding: string
  readonly language: Language
  /** Cache-Control: no-cache. */
  readonly reload: boolean
  /** With the validator of what this client saw last, if it saw any. */
  readonly conditional: boolean
}

const exponent = 0.85
const codings = ['gzip, deflate, br', 'gzip', 'identity'] as const
const languages: readonly Language[] = ['en', 'de', 'fr']

export function* trace(seed: number, objects: number, length: number): Generator<Asked> {
  const random = randomNumbers(seed)
  const sums = new Float64Array(objects)
  let sum = 0
  for (let i = 0; i < objects; i++) sums[i] = sum += 1 / (i + 1) ** exponent
  for (let i = 0; i < length; i++) {
    const object = rankOf(sums, random() * sum)
    const what = random()
    const coding = random()
    const language = random()
    yield {
      object,
      method: what < 0.003 ? 'POST' : what < 0.013 ? 'HEAD' : 'GET',
      coding: codings[coding < 0.8 ? 0 : coding < 0.92 ? 1 : 2],
      language: languages[language < 0.6 ? 0 : language < 0.85 ? 1 : 2] ?? 'en',
      reload: what > 0.99,
      conditional: what > 0.94 && what <= 0.99,
    }
  }
}

const rankOf = (sums: Float64Array, at: number): number => {
  let low = 0
  let high = sums.length - 1
  while (low < high) {
    const middle = (low + high) >> 1
    if ((sums[middle] ?? 0) < at) low = middle + 1
    else high = middle
  }
  return low
}

/** mulberry32 */
const randomNumbers = (seed: number) => (): number => {
  seed = (seed + 0x6d2b79f5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), seed | 1)
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
}
