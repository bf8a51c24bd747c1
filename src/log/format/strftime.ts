// strftime(3) in the C locale, as far as a date needs no further facts. Compiled once per format; the text is kept for
// the second it was made for.

export type TimeText = (wallMs: number) => string

/** `zone` gmt = `%tg`, local = `%tl`. */
export const compileStrftime = (format: string, zone: 'gmt' | 'local'): TimeText => {
  const parts = partsOf(format)
  let second = Number.NaN
  let text = ''
  return wallMs => {
    const now = Math.floor(wallMs / 1000)
    if (now !== second) {
      second = now
      const moment = momentOf(now, zone)
      text = parts.map(part => (typeof part === 'string' ? part : part(moment))).join('')
    }
    return text
  }
}

interface Moment {
  readonly unix: number
  readonly year: number
  readonly month: number
  readonly date: number
  readonly hours: number
  readonly minutes: number
  readonly seconds: number
  readonly day: number
  /** Day of the year, 0…365. */
  readonly yearDay: number
  readonly offsetMinutes: number
  readonly zoneName: string
}

const momentOf = (unix: number, zone: 'gmt' | 'local'): Moment => {
  const date = new Date(unix * 1000)
  const offsetMinutes = zone === 'gmt' ? 0 : -date.getTimezoneOffset()
  const shifted = new Date((unix + offsetMinutes * 60) * 1000)
  const year = shifted.getUTCFullYear()
  return {
    unix,
    year,
    month: shifted.getUTCMonth(),
    date: shifted.getUTCDate(),
    hours: shifted.getUTCHours(),
    minutes: shifted.getUTCMinutes(),
    seconds: shifted.getUTCSeconds(),
    day: shifted.getUTCDay(),
    yearDay: Math.floor((shifted.getTime() - Date.UTC(year, 0, 1)) / 86_400_000),
    offsetMinutes,
    zoneName: zone === 'gmt' ? 'GMT' : zoneNameOf(date),
  }
}

const zoneNameOf = (date: Date): string =>
  new Intl.DateTimeFormat('en-US', { timeZoneName: 'short' }).formatToParts(date).find(p => p.type === 'timeZoneName')?.value ?? ''

type Part = string | ((m: Moment) => string)

const partsOf = (format: string): Part[] => {
  const parts: Part[] = []
  for (let i = 0; i < format.length; i++) {
    if (format[i] !== '%' || i + 1 === format.length) {
      parts.push(format.charAt(i))
      continue
    }
    const letter = format.charAt(++i)
    const conversion = conversions[letter]
    const composed = compositions[letter]
    if (composed !== undefined) parts.push(...partsOf(composed))
    else parts.push(conversion ?? `%${letter}`) // glibc prints what it does not know
  }
  return parts
}

const compositions: Readonly<Record<string, string>> = {
  c: '%a %b %e %H:%M:%S %Y',
  D: '%m/%d/%y',
  F: '%Y-%m-%d',
  r: '%I:%M:%S %p',
  R: '%H:%M',
  T: '%H:%M:%S',
  x: '%m/%d/%y',
  X: '%H:%M:%S',
  h: '%b',
}

const two = (n: number, fill = '0'): string => String(n).padStart(2, fill)

const conversions: Readonly<Record<string, (m: Moment) => string>> = {
  a: m => dayName(m).slice(0, 3),
  A: m => dayName(m),
  b: m => monthName(m).slice(0, 3),
  B: m => monthName(m),
  C: m => two(Math.floor(m.year / 100)),
  d: m => two(m.date),
  e: m => two(m.date, ' '),
  g: m => two(isoWeek(m).year % 100),
  G: m => String(isoWeek(m).year),
  H: m => two(m.hours),
  I: m => two(m.hours % 12 || 12),
  j: m => String(m.yearDay + 1).padStart(3, '0'),
  k: m => two(m.hours, ' '),
  l: m => two(m.hours % 12 || 12, ' '),
  m: m => two(m.month + 1),
  M: m => two(m.minutes),
  n: () => '\n',
  p: m => (m.hours < 12 ? 'AM' : 'PM'),
  P: m => (m.hours < 12 ? 'am' : 'pm'),
  s: m => String(m.unix),
  S: m => two(m.seconds),
  t: () => '\t',
  u: m => String(m.day || 7),
  U: m => two(Math.floor((m.yearDay + 7 - m.day) / 7)),
  V: m => two(isoWeek(m).week),
  w: m => String(m.day),
  W: m => two(Math.floor((m.yearDay + 7 - ((m.day + 6) % 7)) / 7)),
  y: m => two(m.year % 100),
  Y: m => String(m.year),
  z: m => zoneText(m.offsetMinutes),
  Z: m => m.zoneName,
  '%': () => '%',
}

const zoneText = (minutes: number): string => {
  const size = Math.abs(minutes)
  return `${minutes < 0 ? '-' : '+'}${two(Math.floor(size / 60))}${two(size % 60)}`
}

/** ISO 8601: a week belongs to the year of its Thursday. */
const isoWeek = (m: Moment): { readonly year: number; readonly week: number } => {
  const thursday = new Date(Date.UTC(m.year, m.month, m.date + 4 - (m.day || 7)))
  const year = thursday.getUTCFullYear()
  const days = Math.floor((thursday.getTime() - Date.UTC(year, 0, 1)) / 86_400_000)
  return { year, week: Math.floor(days / 7) + 1 }
}

const dayNames = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'] as const
const monthNames = [
  'January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September', 'October', 'November', 'December',
] as const

const dayName = (m: Moment): string => dayNames[m.day] ?? ''
const monthName = (m: Moment): string => monthNames[m.month] ?? ''
