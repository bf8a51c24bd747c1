import type { AccessLine, AclUse, Location } from '../conf/config.ts'
import type { AccessFacts } from './access-facts.ts'
import type { Acl } from './acl.ts'
import type { AclTable } from './compile.ts'
import { always, type Match, matched, unlearned, unnamed, unproven, untold } from './match.ts'
import { failsAnyway, lastWithin, matchTerm, type Term } from './term.ts'

// `DIRECTIVE allow|deny [!]acl ...` compiled. The first line whose ACLs all match decides. When none does, the answer
// is the opposite of the last line's, and without any line what the directive says. Every answer a list can give is
// made when it is compiled.

/** Shared objects: compare, read, keep, but never write. */
export interface Decision {
  readonly allowed: boolean
  /** The line that decided; null = none did. */
  readonly line: Location | null
  /** `file:line`, for the record of the transaction; says so when no line matched. */
  readonly text: string
  /** The ACL of the line that was tested last; '' = none was. */
  readonly lastAcl: string
  /** It was not asked on: the client must first say who it is. */
  readonly unproven: boolean
  /** It was not asked on: an ACL is about the server's name, and the TLS client has yet to say it. */
  readonly unnamed: boolean
  /** What deny_info goes by: as lastAcl, but of a group the member that was asked last, as in Squid. */
  lastTested(facts: AccessFacts): string
}

/** Names looked up for one check. More means that an ACL does not keep what it learned. */
const lookupsMax = 16

export interface AccessList {
  /** What it answers, whatever is asked; null = that depends. */
  readonly constant: Decision | null
  /** At once, or a promise when a name must be looked up; a promise is never rejected. */
  check(facts: AccessFacts): Decision | Promise<Decision>
  /**
   * For directives that cannot wait: what is not known counts as "does not match", and is looked up for the next time.
   * With `!` it then matches, as in Squid 5.7 (tried); rules about addresses belong where lists may wait.
   */
  checkFast(facts: AccessFacts): Decision
  /** The same decision with its reasons. */
  explain(facts: AccessFacts): Promise<Explanation>
}

export interface Explanation {
  readonly decision: Decision
  /** One sentence. */
  readonly summary: string
  /** One per line tested, in order. */
  readonly steps: readonly ExplainedLine[]
}

export interface ExplainedLine {
  readonly at: Location
  readonly text: string
  readonly matched: boolean
  /** The ACLs that were asked; those behind the first mismatch were not. */
  readonly acls: readonly ExplainedAcl[]
}

export interface ExplainedAcl {
  readonly acl: string
  readonly negated: boolean
  /** With its `!` taken into account. */
  readonly matched: boolean
  /** What it looked at. */
  readonly fact: string
}

/** Unknown or unusable ACLs in the lines are added to `acls.problems`. */
export const compileAccessList = (lines: readonly AccessLine[], acls: AclTable, otherwise: 'allow' | 'deny'): AccessList =>
  new CompiledList(lines, acls, otherwise)

/** The condition of a log line, tcp_outgoing_address and the like: all ACLs match. No ACL = always. Cannot wait. */
export interface Condition {
  holds(facts: AccessFacts): boolean
}

export const compileCondition = (uses: readonly AclUse[], acls: AclTable, at: Location): Condition => {
  const terms = acls.terms(uses, at)
  return { holds: facts => failedTerm(terms, facts) === terms.length }
}

const undecidedText = 'an ACL could not be decided'

interface Line {
  readonly source: AccessLine
  readonly terms: readonly Term[]
  readonly decision: Decision
}

class CompiledList implements AccessList {
  readonly #lines: readonly Line[]
  /** By the number of the term of the last line that did not match. */
  readonly #implicit: readonly Decision[]
  readonly #undecided: Decision
  readonly constant: Decision | null

  constructor(lines: readonly AccessLine[], acls: AclTable, otherwise: 'allow' | 'deny') {
    this.#lines = lines.map(source => compileLine(source, acls.terms(source.acls, source.at)))
    const last = this.#lines.at(-1)
    const allowed = last === undefined ? otherwise === 'allow' : last.source.action === 'deny'
    const text = last === undefined ? '' : `no line up to ${placeOf(last.source.at)}`
    const terms = [...(last?.terms ?? []), null]
    this.#implicit = terms.map(term => new Verdict(allowed, null, text, term, false))
    // a regex that cannot be finished must not let anybody in
    this.#undecided = new Verdict(false, null, undecidedText, null, false)
    const first = this.#lines[0]
    this.constant = first === undefined ? (this.#implicit[0] ?? null) : first.terms.every(isAlways) ? first.decision : null
  }

  check(facts: AccessFacts): Decision | Promise<Decision> {
    return this.constant ?? this.#from(0, 0, facts, 0)
  }

  checkFast(facts: AccessFacts): Decision {
    if (this.constant !== null) return this.constant
    const lines = this.#lines
    let failed = 0
    for (let l = 0; l < lines.length; l++) {
      const line = lines[l] as Line // within by the loop
      failed = failedTerm(line.terms, facts)
      if (failed < 0) return this.#undecided
      if (failed === line.terms.length) return line.decision
    }
    return this.#implicit[failed] ?? this.#undecided
  }

  /** Goes on at term `t` of line `l`. */
  #from(l: number, t: number, facts: AccessFacts, lookups: number): Decision | Promise<Decision> {
    const lines = this.#lines
    let term = t
    let failed = 0
    for (let at = l; at < lines.length; at++) {
      const { terms, decision } = lines[at] as Line // within by the loop
      let found: Match = matched
      for (; term < terms.length; term++) {
        found = matchTerm(terms[term] as Term, facts)
        if (found !== matched) break
      }
      if (found === matched) return decision
      if (found === unlearned) return lookups < lookupsMax ? this.#later(at, term, facts, lookups) : this.#undecided
      if (found === untold) return new Verdict(false, null, undecidedText, terms[term] ?? null, false)
      if (found === unproven) return challenge(lines[at] as Line, term)
      if (found === unnamed) {
        const waiting = term
        term = failsAnyway(terms, waiting, facts)
        if (term < 0) return waitsForName(lines[at] as Line, waiting)
      }
      failed = term
      term = 0
    }
    return this.#implicit[failed] ?? this.#undecided
  }

  async #later(l: number, t: number, facts: AccessFacts, lookups: number): Promise<Decision> {
    await facts.learn()
    return this.#from(l, t, facts, lookups + 1)
  }

  async explain(facts: AccessFacts): Promise<Explanation> {
    const decision = await this.check(facts)
    const steps: ExplainedLine[] = []
    for (const line of this.#lines) {
      const step = explainLine(line, facts)
      steps.push(step)
      if (line.decision === decision || ((decision.unproven || decision.unnamed) && line.source.at === decision.line)) break
    }
    return { decision, summary: summaryOf(decision, steps), steps }
  }
}

const isAlways = ({ acl, negated }: Term): boolean => acl.match === always && !negated

const compileLine = (source: AccessLine, terms: readonly Term[]): Line => ({
  source,
  terms,
  decision: new Verdict(source.action === 'allow', source.at, placeOf(source.at), terms.at(-1) ?? null, false),
})

/** As Squid: whatever the line says, it is asked no further. */
const challenge = ({ source, terms }: Line, term: number): Decision =>
  new Verdict(false, source.at, placeOf(source.at), terms[term] ?? null, true)

const waitsForName = ({ source, terms }: Line, term: number): Decision =>
  new Verdict(false, source.at, placeOf(source.at), terms[term] ?? null, false, true)

/** A class, since explanations are sent between processes: what it does is left behind, what it says goes along. */
class Verdict implements Decision {
  readonly allowed: boolean
  readonly line: Location | null
  readonly text: string
  readonly lastAcl: string
  readonly unproven: boolean
  readonly unnamed: boolean
  readonly #last: Acl | null

  constructor(allowed: boolean, line: Location | null, text: string, last: Term | null, unproven: boolean, unnamed = false) {
    this.allowed = allowed
    this.line = line
    this.text = text
    this.lastAcl = last?.acl.name ?? ''
    this.unproven = unproven
    this.unnamed = unnamed
    this.#last = last?.acl ?? null
  }

  lastTested(facts: AccessFacts): string {
    return this.#last === null ? '' : lastWithin(this.#last, facts)
  }
}

const placeOf = (at: Location): string => `${at.file}:${at.line}`

/** Number of the first term that fails, or the number of terms; -1 = one of them cannot be told. */
const failedTerm = (terms: readonly Term[], facts: AccessFacts): number => {
  for (let i = 0; i < terms.length; i++) {
    const term = terms[i] as Term // within by the loop
    const found = term.acl.match(facts)
    if (found === untold) return -1
    // what is not known does not match
    if ((found === matched) === term.negated) return i
  }
  return terms.length
}

/** Everything has been learned by now; only `random` may answer otherwise than it did. */
const explainLine = (line: Line, facts: AccessFacts): ExplainedLine => {
  const failed = failedTerm(line.terms, facts)
  const asked = failed < 0 ? line.terms : line.terms.slice(0, failed + 1)
  const acls = asked.map((term, i) => ({
    acl: term.acl.name,
    negated: term.negated,
    matched: i !== failed,
    fact: term.acl.fact(facts),
  }))
  return { at: line.source.at, text: line.source.text, matched: failed === line.terms.length, acls }
}

const summaryOf = (decision: Decision, steps: readonly ExplainedLine[]): string => {
  const word = decision.allowed ? 'allowed' : 'denied'
  const last = steps.at(-1)
  if (decision.unproven) return `${word} by ${decision.text}: ${decision.lastAcl} needs to know who the client is`
  if (decision.unnamed) return `not decided by ${decision.text} yet: ${decision.lastAcl} needs to know the server's name`
  if (decision.text === undecidedText) return `${word}: ${undecidedText}`
  if (decision.line !== null && last !== undefined) {
    const why = last.acls.map(a => `${a.negated ? '!' : ''}${a.acl} (${a.fact})`).join(' and ')
    return `${word} by ${placeOf(decision.line)}: ${last.text}: matched ${why}`
  }
  if (last === undefined) return `${word}: there is no line, so the directive's default holds`
  const none = steps.length === 1 ? 'the only line did not match' : `none of ${steps.length} lines matched`
  return `${word}: ${none}, so the opposite of the last one holds (${last.text})`
}
