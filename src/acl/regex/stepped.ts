import { type Match, matched, mismatched, untold } from '../match.ts'
import { isWord, type Node, type PosixTree, upper } from './posix-regex.ts'

// For the few patterns V8 cannot promise to end: back references, and repetitions too large to write out. Plain
// backtracking that counts its steps and says so when they are used up. Slow; such patterns are reported at load.

type Next = (at: number) => boolean
type Step = (at: number, next: Next) => boolean

/** About ten milliseconds. */
const stepsMax = 200_000

export const steppedMatcher = (tree: PosixTree): ((subject: string) => Match) => {
  const machine = new Machine(tree)
  return subject => machine.search(subject)
}

class Machine {
  readonly #folded: boolean
  readonly #root: Step
  readonly #starts = new Int32Array(10)
  readonly #ends = new Int32Array(10)
  #subject = ''
  #steps = 0

  constructor(tree: PosixTree) {
    this.#folded = tree.folded
    this.#root = this.#compile(tree.root)
  }

  search(subject: string): Match {
    this.#subject = subject
    this.#steps = 0
    try {
      for (let at = 0; at <= subject.length; at++) {
        this.#starts.fill(-1)
        if (this.#root(at, accept)) return matched
      }
      return mismatched
    } catch (error) {
      // the stack ends before the steps on long subjects
      if (error === outOfSteps || error instanceof RangeError) return untold
      throw error
    } finally {
      this.#subject = ''
    }
  }

  #byteAt(at: number): number {
    if (++this.#steps > stepsMax) throw outOfSteps
    const code = this.#subject.charCodeAt(at)
    return this.#folded ? upper(code) : code // NaN past the end
  }

  #compile(node: Node): Step {
    switch (node.kind) {
      case 'empty':
        return (at, next) => next(at)
      case 'byte':
        return (at, next) => this.#byteAt(at) === node.code && next(at + 1)
      case 'set':
        return (at, next) => {
          const code = this.#byteAt(at)
          return code === code && (node.bytes[code] === 1) !== node.negated && next(at + 1)
        }
      case 'any':
        return (at, next) => at < this.#subject.length && next(at + 1)
      case 'assert':
        return (at, next) => this.#holds(node.what, at) && next(at)
      case 'sequence': {
        const parts = node.parts.map(part => this.#compile(part))
        const from = (i: number, at: number, next: Next): boolean => {
          const part = parts[i]
          return part === undefined ? next(at) : part(at, then => from(i + 1, then, next))
        }
        return (at, next) => from(0, at, next)
      }
      case 'choice': {
        const branches = node.branches.map(branch => this.#compile(branch))
        return (at, next) => branches.some(branch => branch(at, next))
      }
      case 'repeat':
        return this.#repeat(this.#compile(node.body), node.min, node.max)
      case 'group':
        return this.#group(this.#compile(node.body), node.number)
      case 'reference':
        return (at, next) => this.#again(node.number, at, next)
    }
  }

  #repeat(body: Step, min: number, max: number): Step {
    const round = (count: number, at: number, next: Next): boolean => {
      if (++this.#steps > stepsMax) throw outOfSteps
      // an empty round beyond the minimum leads nowhere new
      const more = count < max && body(at, then => (then > at || count < min) && round(count + 1, then, next))
      return more || (count >= min && next(at))
    }
    return (at, next) => round(0, at, next)
  }

  #group(body: Step, number: number): Step {
    if (number > 9) return body // only \1 to \9 can ask for it
    return (at, next) => {
      const start = this.#starts[number] ?? -1
      const end = this.#ends[number] ?? -1
      const found = body(at, then => {
        const formerStart = this.#starts[number] ?? -1
        const formerEnd = this.#ends[number] ?? -1
        this.#starts[number] = at
        this.#ends[number] = then
        if (next(then)) return true
        this.#starts[number] = formerStart
        this.#ends[number] = formerEnd
        return false
      })
      if (!found) {
        this.#starts[number] = start
        this.#ends[number] = end
      }
      return found
    }
  }

  /** A group that took no part matches nothing, as in glibc. */
  #again(number: number, at: number, next: Next): boolean {
    const start = this.#starts[number] ?? -1
    if (start < 0) return false
    const length = (this.#ends[number] ?? 0) - start
    for (let i = 0; i < length; i++) if (this.#byteAt(at + i) !== this.#byteAt(start + i)) return false
    return next(at + length)
  }

  #holds(what: (Node & { kind: 'assert' })['what'], at: number): boolean {
    if (what === 'start') return at === 0
    if (what === 'end') return at === this.#subject.length
    const before = at > 0 && isWord(this.#subject.charCodeAt(at - 1))
    const after = at < this.#subject.length && isWord(this.#subject.charCodeAt(at))
    if (what === 'boundary') return before !== after
    if (what === 'no-boundary') return before === after
    return what === 'word-start' ? !before && after : before && !after
  }
}

const accept: Next = () => true
const outOfSteps = new Error('out of steps')
