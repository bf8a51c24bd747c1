import { type Bytes, bytes, canonicalAddress, type Endpoint, endpoint } from '../base/index.ts'

// The words of a value, each judged by its owner: on/off, numbers, sizes, times, addresses. Squid is strict about units
// (and stops at the first wrong one); where the meaning is beyond doubt we go on and say so.

export type Remark = { readonly severity: 'warning' | 'note'; readonly message: string; readonly hint: string }

export type Value<T> =
  | { readonly ok: true; readonly value: T; readonly remark?: Remark; /** Words used up. */ readonly words: 1 | 2 }
  | { readonly ok: false; readonly message: string; readonly hint: string }

const refused = (message: string, hint = ''): { ok: false; message: string; hint: string } => ({
  ok: false,
  message,
  hint,
})
const note = (message: string, hint = ''): Remark => ({ severity: 'note', message, hint })
const warning = (message: string, hint = ''): Remark => ({ severity: 'warning', message, hint })

/** As C reads it with base 0: 42, 0x2a, 052, each with a sign. null if anything else is in the word. */
export const wholeNumber = (word: string): number | null => {
  const found = /^([+-]?)(?:0x([0-9a-f]+)|0([0-7]+)|(\d+))$/i.exec(word)
  if (found === null) return null
  const [, sign, hex, octal, decimal] = found
  if (decimal !== undefined && decimal.length > 1 && decimal.startsWith('0')) return null // 08 is no octal number
  const size =
    hex !== undefined ? Number.parseInt(hex, 16) : octal !== undefined ? Number.parseInt(octal, 8) : Number(decimal)
  if (!Number.isSafeInteger(size)) return null
  return sign === '-' && size !== 0 ? -size : size
}

export const readOnOff = (word: string): Value<boolean> => {
  if (word === 'on') return { ok: true, value: true, words: 1 }
  if (word === 'off') return { ok: true, value: false, words: 1 }
  const lower = word.toLowerCase()
  const modern = ['on', 'enable', 'yes', 'true', '1'].includes(lower)
    ? 'on'
    : ['off', 'disable', 'no', 'false', '0'].includes(lower)
      ? 'off'
      : null
  if (word === 'enable' || word === 'disable') {
    return {
      ok: true,
      value: word === 'enable',
      words: 1,
      remark: warning(`'${word}' is deprecated`, `write '${modern}'`),
    }
  }
  return refused(`expecting 'on' or 'off', got '${word}'`, modern === null ? '' : `write '${modern}'`)
}

/** A decimal number, perhaps with a fraction, and the letters glued to it. */
const amount = /^([+-]?\d+(?:\.\d*)?|[+-]?\.\d+)([a-zA-Z]*)$/

/** Words by the size they stand for. A function declaration, since the tables below are made while the module loads. */
function unitsOf(sizes: readonly [size: number, words: string][]): ReadonlyMap<string, number> {
  return new Map(sizes.flatMap(([size, words]) => words.split(' ').map(word => [word, size] as const)))
}

const sizeUnits: readonly [stem: string, size: number][] = [
  ['bytes', 1],
  ['kb', 1024],
  ['mb', 1024 ** 2],
  ['gb', 1024 ** 3],
]

// what Squid refuses and nobody can misunderstand
const looseSizeUnits = unitsOf([
  [1, 'b byte'],
  [1024, 'k kib kilobyte kilobytes kbyte kbytes'],
  [1024 ** 2, 'm mib megabyte megabytes mbyte mbytes'],
  [1024 ** 3, 'g gib gigabyte gigabytes gbyte gbytes'],
  [1024 ** 4, 't tb tib'],
])

interface Unit {
  readonly size: number
  readonly exact: boolean
}

const sizeUnit = (word: string): Unit | null => {
  const lower = word.toLowerCase()
  const loose = looseSizeUnits.get(lower)
  if (loose !== undefined) return { size: loose, exact: false }
  const found = sizeUnits.find(([stem]) => lower.startsWith(stem))
  return found === undefined ? null : { size: found[1], exact: true }
}

/** `256 MB`, `100MB`, `0`. Without a unit: `unit` bytes each, said aloud. */
export const readSize = (word: string, next: string | undefined, unit: Bytes): Value<Bytes> => {
  const found = amount.exec(word)
  if (found === null) return refused(`expecting a size such as '256 MB', got '${word}'`)
  const number = Number(found[1])
  const glued = found[2] ?? ''
  const unitWord = glued !== '' ? glued : next
  const words = glued === '' && next !== undefined ? 2 : 1
  if (number < 0) return refused(`a size cannot be negative, got '${word}'`)
  if (unitWord === undefined) return sizeWithoutUnit(number, unit)
  const known = sizeUnit(unitWord)
  if (known === null) {
    // 0 needs no unit: the word is something else
    if (number === 0 && words === 2) return { ok: true, value: bytes(0), words: 1 }
    return refused(
      `Unknown bytes unit '${unitWord}'`,
      'units are bytes, KB, MB and GB, each 1024 times the one before',
    )
  }
  const value = Math.floor(number * known.size)
  if (!Number.isSafeInteger(value)) return refused(`'${word}' is too large`)
  if (known.exact && glued === '') return { ok: true, value: bytes(value), words }
  return {
    ok: true,
    value: bytes(value),
    words,
    remark: note(`read as ${sizeText(bytes(value))}`, 'Squid wants a number, a blank, and bytes, KB, MB or GB'),
  }
}

const sizeWithoutUnit = (number: number, unit: Bytes): Value<Bytes> => {
  const value = Math.floor(number * unit)
  if (!Number.isSafeInteger(value)) return refused(`'${number}' is too large`)
  if (number === 0) return { ok: true, value: bytes(0), words: 1 }
  return {
    ok: true,
    value: bytes(value),
    words: 1,
    remark: warning(`No units, assuming ${sizeText(bytes(value))}`, 'write the unit: bytes, KB, MB or GB'),
  }
}

export const sizeText = (size: Bytes): string => {
  if (size === 0) return '0 KB'
  for (const [unit, each] of [
    ['GB', 1024 ** 3],
    ['MB', 1024 ** 2],
    ['KB', 1024],
  ] as const) {
    if (size % each === 0) return `${size / each} ${unit}`
  }
  return `${size} bytes`
}

const day = 86_400_000

// the full singular name is what a unit must begin with; lengths as Squid has them
const timeUnits: readonly [stem: string, ms: number][] = [
  ['nanosecond', 1e-6],
  ['microsecond', 1e-3],
  ['millisecond', 1],
  ['second', 1000],
  ['minute', 60_000],
  ['hour', 3_600_000],
  ['day', day],
  ['week', 7 * day],
  ['fortnight', 14 * day],
  ['month', 30 * day],
  ['year', 365.2522 * day],
  ['decade', 10 * 365.2522 * day],
]

const looseTimeUnits = unitsOf([
  [1e-6, 'ns nsec'],
  [1e-3, 'us usec'],
  [1, 'ms msec msecs'],
  [1000, 's sec secs'],
  [60_000, 'm min mins'],
  [3_600_000, 'h hr hrs'],
  [day, 'd'],
  [7 * day, 'w wk'],
  [365.2522 * day, 'y yr'],
])

const timeUnit = (word: string): Unit | null => {
  const lower = word.toLowerCase()
  const found = timeUnits.find(([stem]) => lower.startsWith(stem))
  if (found !== undefined) return { size: found[1], exact: true }
  const loose = looseTimeUnits.get(lower)
  return loose === undefined ? null : { size: loose, exact: false }
}

/** More is surely a slip, and would not fit what counts it. */
const timeMsMax = 200 * 365.2522 * day

/** Milliseconds. `unit` is what a bare number means, `finest` the smallest step the directive knows, both in ms. */
export const readTime = (word: string, next: string | undefined, unit: number, finest: number): Value<number> => {
  const found = amount.exec(word)
  if (found === null) return refused(`expecting a time such as '5 minutes', got '${word}'`)
  const number = Number(found[1])
  const glued = found[2] ?? ''
  const unitWord = glued !== '' ? glued : next
  const words = glued === '' && next !== undefined ? 2 : 1
  if (number < 0) return refused(`a time cannot be negative, got '${word}'`)
  if (unitWord === undefined) {
    if (number === 0) return { ok: true, value: 0, words: 1 }
    return withinTime(
      word,
      number * unit,
      finest,
      1,
      warning(
        `missing time unit, assuming ${timeText(number * unit)}`,
        'write the unit: seconds, minutes, hours ...',
      ),
    )
  }
  const known = timeUnit(unitWord)
  if (known === null) {
    if (number === 0 && words === 2) return { ok: true, value: 0, words: 1 }
    return refused(`unknown time unit '${unitWord}'`, 'units are seconds, minutes, hours, days, weeks ...')
  }
  if (known.size < finest && number !== 0) {
    return refused(`the time unit '${unitWord}' is too small here`, `the smallest step is ${timeText(finest)}`)
  }
  const exact = known.exact && glued === ''
  return withinTime(
    word,
    number * known.size,
    finest,
    words,
    exact
      ? undefined
      : warning(`read as ${timeText(number * known.size)}`, 'Squid wants a number, a blank, and the unit in full'),
  )
}

const withinTime = (
  word: string,
  ms: number,
  finest: number,
  words: 1 | 2,
  remark: Remark | undefined,
): Value<number> => {
  if (ms > timeMsMax) return refused(`'${word}' is too long a time`)
  const value = Math.floor(ms / finest) * finest
  return remark === undefined ? { ok: true, value, words } : { ok: true, value, words, remark }
}

export const timeText = (ms: number): string => {
  if (ms === 0) return '0 seconds'
  for (const [unit, each] of [
    ['week', 7 * day],
    ['day', day],
    ['hour', 3_600_000],
    ['minute', 60_000],
    ['second', 1000],
  ] as const) {
    if (ms % each === 0) return `${ms / each} ${unit}${ms === each ? '' : 's'}`
  }
  return `${ms} millisecond${ms === 1 ? '' : 's'}`
}

/** `20%`, `20`, `12.5%`; may exceed 100. */
export const readPercent = (word: string): Value<number> => {
  const found = /^(\d{1,9}(?:\.\d{1,6})?)%?$/.exec(word)
  return found === null
    ? refused(`expecting a percentage such as '20%', got '${word}'`)
    : { ok: true, value: Number(found[1]), words: 1 }
}

/** A port number; null if it is none. */
export const portNumber = (word: string): number | null => {
  if (!/^\d{1,5}$/.test(word)) return null
  const port = Number(word)
  return port <= 65535 ? port : null
}

/** An IP address in any spelling, brackets allowed, canonical. */
export const readAddress = (word: string): Value<string> => {
  const address = canonicalAddress(word)
  if (address !== null) return { ok: true, value: address, words: 1 }
  return refused(
    `expecting an IP address, got '${word}'`,
    /[g-z]/i.test(word) ? 'names are not looked up here: write the address' : '',
  )
}

/** `192.0.2.1`, `[2001:db8::1]`, each perhaps with `:PORT`. */
export const readServer = (word: string, port: number): Value<Endpoint> => {
  const whole = canonicalAddress(word)
  if (whole !== null) return { ok: true, value: endpoint(whole, port), words: 1 }
  const colon = word.lastIndexOf(':')
  const host = canonicalAddress(word.slice(0, colon))
  const given = portNumber(word.slice(colon + 1))
  if (colon < 0 || host === null || given === null || given === 0)
    return refused(`expecting an IP address, got '${word}'`)
  return { ok: true, value: endpoint(host, given), words: 1 }
}
