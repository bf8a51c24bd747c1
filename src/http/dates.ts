import { type WallMs, wallMs } from '../base/index.ts'

// HTTP-date (RFC 9110 5.6.7) in exactly its three forms:
//
//   Sun, 06 Nov 1994 08:49:37 GMT     IMF-fixdate
//   Sunday, 06-Nov-94 08:49:37 GMT    RFC 850, two-digit year
//   Sun Nov  6 08:49:37 1994          asctime
//
// Case does not matter (RFC 9111 4.2), anything else does: Date.parse would take a dozen more forms and local time
// zones. Whether the weekday fits the date is not asked.

const weekdays = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']
const longWeekdays = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday']
const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']

/** Null = not an HTTP-date. `now` decides the century of two-digit years: never more than 50 years ahead. */
export const parseHttpDate = (text: string, now: WallMs): WallMs | null => {
  const t = text.toLowerCase()
  const comma = t.indexOf(',')
  if (comma === 3) return fixdate(t)
  if (comma > 3) return rfc850(t, comma, now)
  return asctime(t)
}

const fixdate = (t: string): WallMs | null => {
  if (t.length !== 29 || !weekdays.includes(t.slice(0, 3)) || !t.endsWith(' gmt')) return null
  if (t[4] !== ' ' || t[7] !== ' ' || t[11] !== ' ' || t[16] !== ' ') return null
  return instant(digits(t, 12, 4), months.indexOf(t.slice(8, 11)), digits(t, 5, 2), t, 17)
}

const rfc850 = (t: string, comma: number, now: WallMs): WallMs | null => {
  const at = comma + 2
  if (t.length !== at + 22 || !longWeekdays.includes(t.slice(0, comma)) || !t.endsWith(' gmt')) return null
  if (t[comma + 1] !== ' ' || t[at + 2] !== '-' || t[at + 6] !== '-' || t[at + 9] !== ' ') return null
  const month = months.indexOf(t.slice(at + 3, at + 6))
  const shortYear = digits(t, at + 7, 2)
  if (shortYear < 0) return null
  const thisYear = new Date(now).getUTCFullYear()
  let year = thisYear - (thisYear % 100) + shortYear
  if (year <= thisYear - 50) year += 100
  let found = instant(year, month, digits(t, at, 2), t, at + 10)
  // RFC 9110 5.6.7: what appears to lie more than 50 years ahead is the most recent such year in the past
  if (found !== null && found > yearsLater(now, 50)) found = instant(year - 100, month, digits(t, at, 2), t, at + 10)
  return found
}

const yearsLater = (now: WallMs, years: number): number => {
  const date = new Date(now)
  return date.setUTCFullYear(date.getUTCFullYear() + years)
}

const asctime = (t: string): WallMs | null => {
  if (t.length !== 24 || !weekdays.includes(t.slice(0, 3))) return null
  if (t[3] !== ' ' || t[7] !== ' ' || t[10] !== ' ' || t[19] !== ' ') return null
  const day = t[8] === ' ' ? digits(t, 9, 1) : digits(t, 8, 2)
  return instant(digits(t, 20, 4), months.indexOf(t.slice(4, 7)), day, t, 11)
}

/** `count` digits at `at`, or -1. */
const digits = (t: string, at: number, count: number): number => {
  let value = 0
  for (let i = at; i < at + count; i++) {
    const c = t.charCodeAt(i) - 48
    if (!(c >= 0 && c <= 9)) return -1
    value = value * 10 + c
  }
  return value
}

/** The date with the time `hh:mm:ss` at `at`, if both exist. A leap second counts as the next second. */
const instant = (year: number, month: number, day: number, t: string, at: number): WallMs | null => {
  const hour = digits(t, at, 2)
  const minute = digits(t, at + 3, 2)
  const second = digits(t, at + 6, 2)
  if (year < 0 || month < 0 || day < 1 || t[at + 2] !== ':' || t[at + 5] !== ':') return null
  if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60) return null
  const midnight = utc(year, month, day)
  if (new Date(midnight).getUTCDate() !== day) return null // 31 Feb
  return wallMs(midnight + ((hour * 60 + minute) * 60 + second) * 1000)
}

/** Date.UTC takes the years 0 to 99 for 1900 to 1999. */
const utc = (year: number, month: number, day: number): number =>
  year >= 100 ? Date.UTC(year, month, day) : new Date(0).setUTCFullYear(year, month, day)

let formattedSecond = Number.NaN
let formatted = ''

/** IMF-fixdate. The last one is kept: on a busy proxy most calls fall into the same second. */
export const httpDate = (now: WallMs): string => {
  const second = Math.floor(now / 1000)
  if (second !== formattedSecond) {
    formatted = new Date(second * 1000).toUTCString()
    formattedSecond = second
  }
  return formatted
}
