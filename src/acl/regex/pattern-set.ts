import { type Match, matched, mismatched, untold } from '../match.ts'
import { compileTree, type Matching } from './compile-regex.ts'
import { emitJs } from './emit.ts'
import { factorsOf, type Literal, literalsOf } from './literals.ts'
import { type PosixTree, upper } from './posix-regex.ts'
import { type Substrings, SubstringsBuilder } from './substrings.ts'

// The patterns of one ACL as one question. A few are asked one by one. Of a longer list, plain texts are found in one
// pass over the subject, and a regex is run only after a text it needs has been seen; the rest is merged into chunks.

/** From here on a pass over the subject is cheaper than a regex per pattern. */
const listedMin = 8
/** As Squid: alternations of about 1 KB. Longer ones cost V8 more than they save. */
const chunkLengthMax = 1024

export interface PatternSet {
  test(subject: string): Match
}

export const patternSet = (trees: readonly PosixTree[]): PatternSet => {
  const parts: PatternSet[] = []
  for (const folded of [false, true]) {
    const same = trees.filter(tree => tree.folded === folded)
    if (same.length >= listedMin) parts.push(...listed(same, folded))
    else parts.push(...same.map(tree => new Single(compileTree(tree))))
  }
  const [only] = parts
  return parts.length === 1 && only !== undefined ? only : new Several(parts)
}

class Single implements PatternSet {
  readonly test: Matching

  constructor(test: Matching) {
    this.test = test
  }
}

class Several implements PatternSet {
  readonly #parts: readonly PatternSet[]

  constructor(parts: readonly PatternSet[]) {
    this.#parts = parts
  }

  test(subject: string): Match {
    let answer: Match = mismatched
    for (const part of this.#parts) {
      const found = part.test(subject)
      if (found === matched) return matched
      if (found === untold) answer = untold
    }
    return answer
  }
}

const listed = (trees: readonly PosixTree[], folded: boolean): PatternSet[] => {
  const searched = new SearchedBuilder(folded)
  const rest: PosixTree[] = []
  for (const tree of trees) {
    const literals = literalsOf(tree.root)
    const factors = literals === null ? factorsOf(tree.root) : null
    if (literals !== null) searched.addLiterals(literals)
    else if (factors !== null) searched.addRegex(factors, compileTree(tree))
    else rest.push(tree)
  }
  return [searched.build(), ...merged(rest, folded)]
}

const merged = (trees: readonly PosixTree[], folded: boolean): PatternSet[] => {
  const sets: PatternSet[] = []
  let chunk: PosixTree[] = []
  let length = 0
  const close = () => {
    if (chunk.length > 0) sets.push(new Single(compileTree(choiceOf(chunk, folded))))
    chunk = []
    length = 0
  }
  for (const tree of trees) {
    if (tree.references) {
      sets.push(new Single(compileTree(tree))) // \1 would count the groups of its neighbours
      continue
    }
    const own = emitJs(tree).length
    if (length + own > chunkLengthMax) close()
    chunk.push(tree)
    length += own
  }
  close()
  return sets
}

const choiceOf = (trees: readonly PosixTree[], folded: boolean): PosixTree => ({
  ok: true,
  root: { kind: 'choice', branches: trees.map(tree => tree.root) },
  folded,
  references: false,
  remarks: [],
})

class SearchedBuilder {
  readonly #substrings = new SubstringsBuilder()
  readonly #literals: (Literal | null)[] = []
  readonly #regexes: (Matching | null)[] = []
  readonly #folded: boolean

  constructor(folded: boolean) {
    this.#folded = folded
  }

  addLiterals(literals: readonly Literal[]): void {
    for (const literal of literals) {
      this.#substrings.add(literal.text, this.#literals.length)
      this.#literals.push(literal)
      this.#regexes.push(null)
    }
  }

  addRegex(factors: readonly string[], regex: Matching): void {
    for (const factor of factors) this.#substrings.add(factor, this.#literals.length)
    this.#literals.push(null)
    this.#regexes.push(regex)
  }

  build(): PatternSet {
    return new Searched(this.#substrings.build(), this.#literals, this.#regexes, this.#folded)
  }
}

class Searched implements PatternSet {
  readonly #substrings: Substrings
  readonly #literals: readonly (Literal | null)[]
  readonly #regexes: readonly (Matching | null)[]
  readonly #folded: boolean
  /** The search in which a regex was last run: once is enough. */
  readonly #ran: Uint32Array
  #search = 0

  constructor(
    substrings: Substrings,
    literals: readonly (Literal | null)[],
    regexes: readonly (Matching | null)[],
    folded: boolean,
  ) {
    this.#substrings = substrings
    this.#literals = literals
    this.#regexes = regexes
    this.#folded = folded
    this.#ran = new Uint32Array(regexes.length)
  }

  test(subject: string): Match {
    const substrings = this.#substrings
    this.#search = (this.#search + 1) >>> 0
    let answer: Match = mismatched
    let node = 0
    for (let at = 0; at < subject.length; at++) {
      const code = subject.charCodeAt(at)
      node = substrings.step(node, this.#folded ? upper(code) : code)
      if (node === 0) continue
      for (let end = substrings.firstEnd(node); end !== 0; end = substrings.nextEnd(end)) {
        const found = this.#ask(end, subject, at + 1)
        if (found === matched) return matched
        if (found === untold) answer = untold
      }
    }
    return answer
  }

  #ask(node: number, subject: string, end: number): Match {
    const to = this.#substrings.ownersFrom(node + 1)
    let answer: Match = mismatched
    for (let i = this.#substrings.ownersFrom(node); i < to; i++) {
      const owner = this.#substrings.owners[i] as number // within by the loop
      const literal = this.#literals[owner] as Literal | null
      let found: Match = mismatched
      if (literal === null) found = this.#run(owner, subject)
      else if (fits(literal, subject, end)) return matched
      if (found === matched) return matched
      if (found === untold) answer = untold
    }
    return answer
  }

  #run(owner: number, subject: string): Match {
    if (this.#ran[owner] === this.#search) return mismatched // or untold, which has been noted
    this.#ran[owner] = this.#search
    return (this.#regexes[owner] as Matching)(subject)
  }
}

const fits = (literal: Literal, subject: string, end: number): boolean =>
  (!literal.atStart || end === literal.text.length) && (!literal.atEnd || end === subject.length)
