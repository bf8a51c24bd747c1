import { type AccessFacts, type AccessList, type AclTable, compileAccessList, type Decision } from '../../../acl/index.ts'
import type { AccessLine, BumpAction, BumpLine } from '../../../conf/config.ts'

// ssl_bump, compiled. At each point of a connection's life some actions are possible; lines with others are passed over.
// So each point has a list of its own, with the lines that count there:
//
//                     splice  bump  peek, stare  terminate  client-first, server-first, none
//   first  (step 1)     x      x         x           x                   x
//   second (step 2)     x      x         x           x
//   peeked (step 3)     x                            x
//   stared (step 3)            x                     x

export type BumpPoint = 'first' | 'second' | 'peeked' | 'stared'

const possible: Readonly<Record<BumpPoint, readonly BumpAction[]>> = {
  first: ['splice', 'bump', 'peek', 'stare', 'terminate', 'client-first', 'server-first', 'none'],
  second: ['splice', 'bump', 'peek', 'stare', 'terminate'],
  peeked: ['splice', 'terminate'],
  stared: ['bump', 'terminate'],
}

export interface BumpVerdict {
  /** Null: no line matches. */
  readonly action: BumpAction | null
  /** A line is about a name that is still to come. */
  readonly unnamed: boolean
  /** `file:line`. */
  readonly text: string
}

export class BumpRules {
  readonly #lists: Readonly<Record<BumpPoint, AccessList>>
  readonly #actions = new Map<object, BumpAction>()

  constructor(lines: readonly BumpLine[], acls: AclTable) {
    // Squid 3.1: who is named by no line is treated in the other way than the last line says
    const last = lines.at(-1)
    const otherwise: BumpAction | null = last?.old === true ? (last.action === 'none' ? 'client-first' : 'none') : null
    const all = [...lines, ...(last === undefined || otherwise === null ? [] : [{ ...last, action: otherwise, acls: [] }])]
    const listFor = (point: BumpPoint): AccessList => {
      const here = all.filter(({ action }) => possible[point].includes(action))
      return compileAccessList(here.map(line => this.#asAccess(line)), acls, 'deny')
    }
    this.#lists = { first: listFor('first'), second: listFor('second'), peeked: listFor('peeked'), stared: listFor('stared') }
  }

  judge(point: BumpPoint, facts: AccessFacts): BumpVerdict | Promise<BumpVerdict> {
    const decision = this.#lists[point].check(facts)
    return decision instanceof Promise ? decision.then(later => this.#verdict(later)) : this.#verdict(decision)
  }

  #verdict({ allowed, line, text, unnamed }: Decision): BumpVerdict {
    return { action: allowed && line !== null ? (this.#actions.get(line) ?? null) : null, unnamed, text }
  }

  /** A place of its own for each line: by that the line that decided is known. */
  #asAccess({ action, acls, text, at }: BumpLine): AccessLine {
    const place = { ...at }
    this.#actions.set(place, action)
    return { action: 'allow', acls, text, at: place }
  }
}
