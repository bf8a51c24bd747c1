import type { Resolver } from '../../comm/index.ts'
import { type Clock, type DurationMs, ms } from '../base/index.ts'
import type { Diagnostic, Location } from '../conf/index.ts'

// Host names among the addresses of ACLs and zones, for who only reads a conf: a running proxy goes on without those that
// do not resolve, so they are warned of here. However many names there are and whatever the name servers do, it takes no
// longer than `allMsMax`.

/** A conf of a thousand names at ten milliseconds each is through; a dead name server is not waited for. */
const allMsMax = ms(5_000)
/** Questions under way. */
const atOnceMax = 64
/** Warnings about names that do not exist; the rest is counted. */
const warningsMax = 100

export interface WrittenName {
  readonly name: string
  readonly at: Location
}

export const unresolvedNames = async (names: readonly WrittenName[], resolver: Pick<Resolver, 'lookup'>, clock: Clock, patience: DurationMs = allMsMax): Promise<Diagnostic[]> => {
  const absent: Diagnostic[] = []
  const open = new Set(names)
  const todo = [...names]
  let over = false
  const ask = async (): Promise<void> => {
    for (let one = todo.shift(); one !== undefined && !over; one = todo.shift()) {
      const answer = await resolver.lookup(one.name)
      if (over) return
      open.delete(one)
      if (!answer.ok) absent.push(warning(one.at, `'${one.name}' does not resolve (${answer.code}): it would be left out`, 'a name among addresses is looked up at start and at each reload'))
    }
  }
  const late = Promise.withResolvers<void>()
  const timer = clock.after(patience, late.resolve)
  await Promise.race([Promise.all(Array.from({ length: Math.min(atOnceMax, names.length) }, ask)), late.promise])
  timer.cancel()
  over = true
  return [...shortened(absent), ...unanswered([...open], patience)]
}

const shortened = (absent: readonly Diagnostic[]): readonly Diagnostic[] => {
  const last = absent[warningsMax]
  return last === undefined ? absent : [...absent.slice(0, warningsMax), { ...last, message: `and ${absent.length - warningsMax} more names that do not resolve` }]
}

/** One line: it is the name servers that are told of here. */
const unanswered = ([first, ...others]: readonly WrittenName[], patience: DurationMs): readonly Diagnostic[] => {
  if (first === undefined) return []
  const more = others.length === 0 ? '' : ` nor for ${others.length} other${others.length === 1 ? '' : 's'}`
  return [warning(first.at, `no answer for '${first.name}'${more} within ${patience / 1000} seconds`, 'can the name servers be reached? (dns_nameservers)')]
}

const warning = (at: Location, message: string, hint: string): Diagnostic => ({ severity: 'warning', at, message, hint })
