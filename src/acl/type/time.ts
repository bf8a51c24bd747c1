import type { WallMs } from '../../base/index.ts'
import type { Location } from '../../conf/config.ts'
import type { AclSource, AclType } from '../acl.ts'
import { matched, mismatched } from '../match.ts'

/** Days SMTWHFAD (D = Monday to Friday) and hh:mm-hh:mm, local time; several pairs are alternatives. */
export const time = {
  fact: facts => `time ${new Date(facts.now).toString()}`,
  compile: source => {
    const spans = readSpans(source)
    const clock = new LocalMinute()
    return facts => {
      clock.set(facts.now)
      for (let i = 0; i < spans.length; i++) {
        const span = spans[i] as Span // within by the loop
        // the last minute belongs to the span, as in Squid: 10:00-11:00 ends at 11:00:59
        if ((span.days >>> clock.day) & 1 && clock.minute >= span.from && clock.minute <= span.to) return matched
      }
      return mismatched
    }
  },
} satisfies AclType

interface Span {
  /** A bit per day, Sunday lowest. */
  days: number
  from: number
  to: number
}

const everyDay = 0b1111111
const dayBits: Readonly<Record<string, number>> = { S: 1, M: 2, T: 4, W: 8, H: 16, F: 32, A: 64, D: 0b0111110, '-': 0 }

/** A word of days waits for its time; a time without days is for every day; days without a time are whole days. */
const readSpans = (source: AclSource): readonly Span[] => {
  const spans: Span[] = []
  let days = 0
  let line = -1
  const wholeDays = () => {
    if (days !== 0) spans.push({ days, from: 0, to: 24 * 60 })
    days = 0
  }
  for (const { text, at } of source.definition.values) {
    if (at.line !== line) wholeDays()
    line = at.line
    if (/^\d/.test(text)) {
      const span = readTimes(text)
      if (typeof span === 'string') {
        source.report('fatal', at, span, 'write hh:mm-hh:mm; over midnight write two ranges')
        continue
      }
      span.days = days === 0 ? everyDay : days
      spans.push(span)
      days = 0
    } else {
      reportDays(source, text, at)
      for (const letter of text) days |= dayBits[letter] ?? 0
    }
  }
  wholeDays()
  return spans
}

const reportDays = (source: AclSource, text: string, at: Location): void => {
  const hint = 'write the days one after the other: S M T W H F A, or D for Monday to Friday'
  const bad = [...text].find(letter => !Object.hasOwn(dayBits, letter))
  if (bad !== undefined) source.report('fatal', at, `aclParseTimeSpec: Bad Day '${bad}'`, hint)
  if (text.includes('-')) source.report('warning', at, `'${text}' is no range of days: it means the days it names`, hint)
}

const readTimes = (text: string): Span | string => {
  const found = /^(\d{1,2}):(\d{1,2})-(\d{1,2}):(\d{1,2})$/.exec(text)
  if (found === null) return `aclParseTimeSpec: Bad time range '${text}'`
  const [h1 = 0, m1 = 0, h2 = 0, m2 = 0] = found.slice(1).map(Number)
  const ends = h2 < 24 || (h2 === 24 && m2 === 0)
  if (h1 > 23 || m1 > 59 || m2 > 59 || !ends) return `aclParseTimeSpec: Bad time range '${text}'`
  if (h1 * 60 + m1 > h2 * 60 + m2) return `aclParseTimeSpec: Reversed time range '${text}'`
  return { days: 0, from: h1 * 60 + m1, to: h2 * 60 + m2 }
}

/** Day and minute of the local time, worked out once a minute: every zone differs from UTC by whole minutes. */
class LocalMinute {
  day = 0
  minute = 0
  #since = Number.NaN

  set(now: WallMs): void {
    const since = Math.floor(now / 60_000)
    if (since === this.#since) return
    this.#since = since
    const date = new Date(now)
    this.day = date.getDay()
    this.minute = date.getHours() * 60 + date.getMinutes()
  }
}
