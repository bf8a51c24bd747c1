import { type Seconds, seconds } from '../base/index.ts'
import { deltaSecondsMax, ResponseCacheControl } from './cache-control.ts'
import type { Fields } from './fields.ts'
import { memberEnd, splitList, trimmed } from './lists.ts'

// Surrogate-Control of the Edge Architecture Specification 1.0: Cache-Control for a surrogate (an accelerator), which
// names itself in Surrogate-Capability. A directive may be for one of them alone:
//
//   Surrogate-Control: max-age=600+60, no-store;other, content="ESI/1.0"

export interface Surrogate {
  /** Its name, in Surrogate-Capability and behind the `;` of directives. */
  readonly id: string
  /** It is far from the origin: no-store-remote is for it, too. */
  readonly remote: boolean
}

/** Null: it says nothing to this surrogate of whether or how long its response may be kept. */
export const surrogateControl = (fields: Fields, { id, remote }: Surrogate): ResponseCacheControl | null => {
  const text = fields.joined('surrogate-control')
  if (text === undefined) return null
  let noStore: Told<boolean> | null = null
  let maxAge: Told<Age> | null = null
  for (const member of splitList(text)) {
    const { name, value, target } = directiveOf(member)
    if (target !== '' && target !== id) continue
    const ours = target !== ''
    if (name === 'no-store' || (name === 'no-store-remote' && remote)) noStore = wins(noStore, ours, true)
    else if (name === 'max-age') {
      const age = ageOf(value)
      if (age !== null) maxAge = wins(maxAge, ours, age)
    }
  }
  if (noStore === null && maxAge === null) return null
  const control = new ResponseCacheControl()
  control.noStore = noStore !== null
  control.expiresIgnored = true
  control.maxAge = maxAge?.value.fresh ?? null
  control.staleWhileRevalidate = maxAge?.value.stale ?? null
  return control
}

/** The first counts, and one for us before those for all. */
const wins = <T>(before: Told<T> | null, ours: boolean, value: T): Told<T> => (before === null || (ours && !before.ours) ? { ours, value } : before)

interface Told<T> {
  readonly ours: boolean
  readonly value: T
}

interface Age {
  readonly fresh: Seconds
  readonly stale: Seconds | null
}

const directiveOf = (member: string): { readonly name: string; readonly value: string; readonly target: string } => {
  const end = memberEnd(member, 0, semicolon)
  const directive = member.slice(0, end)
  const equals = directive.indexOf('=')
  return {
    name: (equals < 0 ? directive : directive.slice(0, equals)).trim().toLowerCase(),
    value: equals < 0 ? '' : trimmed(directive, equals + 1, directive.length),
    target: trimmed(member, Math.min(end + 1, member.length), member.length),
  }
}

const semicolon = 59

/** `600`, or `600+60`: and 60 seconds more while it is validated. */
const ageOf = (value: string): Age | null => {
  const found = /^(\d+)(?:\+(\d+))?$/.exec(value)
  if (found === null) return null
  const [, fresh = '0', stale] = found
  const time = (text: string): Seconds => seconds(Math.min(Number(text), deltaSecondsMax))
  return { fresh: time(fresh), stale: stale === undefined ? null : time(stale) }
}
