import { assert } from '../../base/index.ts'
import { type Match, matched, mismatched, untold } from '../match.ts'
import { type Assertion, type ByteSet, isWord, type Node, type PosixTree, upper } from './posix-regex.ts'

// For long subjects, and for patterns V8 cannot compile in sane time. The tree becomes a program of small steps; a
// subject is read once, byte by byte, with the set of all steps one could be at. A set met before is looked up instead
// of computed (a DFA made on demand), so that the usual price is one table look-up per byte. Time is linear in the
// subject and has a ceiling; memory has one too.
//
//   set of steps + byte ──► assertions now decided ──► matched? ──► set after the byte, and the first step again

/** Steps of a program; repetitions are written out. `.{8000,}` against long URIs must fit. */
const stepsMax = 20_000
/** Entries of the table of sets; when it is full it is begun anew. */
const tableMax = 1 << 18
/** Steps looked at for one subject: 0.3 s at the very worst, which no sane pattern comes near. */
const workMax = 4_000_000

/** Null: it does not fit. */
export const automaton = (tree: PosixTree): ((subject: string) => Match) | null => {
  if (!fitsAutomaton(tree)) return null
  const machine = new Machine(new Program(tree))
  return subject => machine.search(subject)
}

/** Not too large, and it does not refer back. */
export const fitsAutomaton = (tree: PosixTree): boolean => !tree.references && stepsOf(tree.root) < stepsMax

const stepsOf = (node: Node): number => {
  switch (node.kind) {
    case 'empty':
      return 0
    case 'sequence':
      return node.parts.reduce((sum, part) => sum + stepsOf(part), 0)
    case 'choice':
      return node.branches.reduce((sum, branch) => sum + stepsOf(branch) + 1, -1)
    case 'repeat':
      return (stepsOf(node.body) + 1) * (node.max === Number.POSITIVE_INFINITY ? node.min + 1 : node.max)
    case 'group':
      return stepsOf(node.body)
    default:
      return 1
  }
}

type Step =
  | { readonly kind: 'bytes'; readonly set: ByteSet; readonly next: number }
  | { readonly kind: 'assert'; readonly what: Assertion; readonly next: number }
  | { kind: 'split'; a: number; b: number }
  | { readonly kind: 'match' }

/** Built from the end: each part is told the step that follows it. */
class Program {
  readonly steps: Step[] = []
  readonly start: number
  /** A match can only begin at the first byte: there is no use in trying from later ones. */
  readonly anchored: boolean
  readonly #folded: boolean

  constructor(tree: PosixTree) {
    this.#folded = tree.folded
    const widened = widenedFront(tree.root)
    this.start = this.#node(widened ?? tree.root, this.#add({ kind: 'match' }))
    this.anchored = widened !== null || beginsAtStart(this.steps, this.start)
  }

  #add(step: Step): number {
    this.steps.push(step)
    return this.steps.length - 1
  }

  #node(node: Node, next: number): number {
    switch (node.kind) {
      case 'empty':
        return next
      case 'byte':
        return this.#add({ kind: 'bytes', set: this.#setOf(code => code === node.code), next })
      case 'set':
        return this.#add({ kind: 'bytes', set: this.#setOf(code => (node.bytes[code] === 1) !== node.negated), next })
      case 'any':
        return this.#add({ kind: 'bytes', set: every, next })
      case 'assert':
        return this.#add({ kind: 'assert', what: node.what, next })
      case 'sequence':
        return node.parts.reduceRight((after, part) => this.#node(part, after), next)
      case 'choice':
        return node.branches
          .map(branch => this.#node(branch, next))
          .reduceRight((b, a) => this.#add({ kind: 'split', a, b }))
      case 'repeat':
        return this.#repeat(node.body, node.min, node.max, next)
      case 'group':
        return this.#node(node.body, next)
      case 'reference':
        assert(false, 'what refers back does not come here')
    }
  }

  #repeat(body: Node, min: number, max: number, next: number): number {
    let after = next
    if (max === Number.POSITIVE_INFINITY) {
      const loop: Step & { kind: 'split' } = { kind: 'split', a: 0, b: next }
      after = this.#add(loop)
      loop.a = this.#node(body, after)
    } else {
      for (let i = min; i < max; i++) after = this.#add({ kind: 'split', a: this.#node(body, after), b: next })
    }
    for (let i = 0; i < min; i++) after = this.#node(body, after)
    return after
  }

  /** Of real bytes: what is folded in the tree is unfolded here. */
  #setOf(member: (code: number) => boolean): ByteSet {
    const set = new Uint8Array(256)
    for (let code = 0; code < 256; code++) if (member(this.#folded ? upper(code) : code)) set[code] = 1
    return set
  }
}

const every: ByteSet = new Uint8Array(256).fill(1)

/** What stands before a place. */
type Before = 0 | 1 | 2
const nothing = 0
const word = 1
const other = 2

/** In the table: where a set leads to with a byte. 0 = not known yet. */
const accepts = -1

interface State {
  readonly steps: Int32Array
  readonly before: Before
}

class Machine {
  readonly #steps: readonly Step[]
  readonly #start: number
  readonly #anchored: boolean
  /** Bytes that no step tells apart are one class; the end of the subject is one more. */
  readonly #classes: Uint8Array
  readonly #count: number
  readonly #bytes: readonly number[]
  readonly #statesMax: number
  #table: Int32Array
  #states: State[] = []
  #known = new Map<string, number>()
  /** Steps of the set being made, and a mark per step: in it already. */
  readonly #marks: Uint32Array
  #mark = 0
  readonly #stack: number[] = []
  #work = 0

  constructor(program: Program) {
    this.#steps = program.steps
    this.#start = program.start
    const { classes, bytes } = classesOf(program.steps)
    this.#classes = classes
    this.#bytes = bytes
    this.#count = bytes.length + 1
    this.#statesMax = Math.max(16, Math.min(4000, Math.floor(tableMax / this.#count)))
    this.#table = new Int32Array(16 * this.#count)
    this.#marks = new Uint32Array(program.steps.length)
    this.#anchored = program.anchored
    this.#reset()
  }

  search(subject: string): Match {
    const classes = this.#classes
    const count = this.#count
    const dead = this.#anchored ? 2 : 0
    let table = this.#table
    let state = 1
    this.#work = 0
    for (let at = 0; at < subject.length; at++) {
      const c = classes[subject.charCodeAt(at) & 255] as number // 256 classes
      let next = table[state * count + c] as number // states and classes are within
      if (next <= 0) {
        if (next === accepts) return matched
        next = this.#learn(state, c)
        if (next === accepts) return matched
        if (this.#work > workMax) return untold
        table = this.#table
      }
      if (next === dead) return mismatched
      state = next
    }
    const last = table[state * count + count - 1] as number // as above
    return (last === 0 ? this.#learn(state, count - 1) : last) === accepts ? matched : mismatched
  }

  #reset(): void {
    this.#states = [{ steps: new Int32Array(0), before: nothing }]
    this.#known = new Map()
    this.#table.fill(0)
    this.#stateOf(Int32Array.of(this.#start), nothing)
    this.#stateOf(new Int32Array(0), other)
  }

  #learn(from: number, c: number): number {
    const state = this.#states[from]
    if (state === undefined) return accepts // cannot be: every number in the table is a state's
    const end = c === this.#count - 1
    const byte = end ? -1 : (this.#bytes[c] ?? 0)
    const after = end ? nothing : isWord(byte) ? word : other
    const next = this.#closure(state.steps, state.before, after) === 'match' ? accepts : this.#advance(byte, after)
    const flushed = next !== accepts && this.#states[from] !== state
    if (!flushed) this.#table[from * this.#count + c] = next
    return next
  }

  /** All steps that can be reached without reading a byte: those that read one are left in `#stack`. */
  #closure(steps: Int32Array, before: Before, after: Before): 'match' | 'steps' {
    this.#mark++
    const open = [...steps]
    this.#stack.length = 0
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      if (this.#marks[at] === this.#mark) continue
      this.#marks[at] = this.#mark
      this.#work++
      const step = this.#steps[at]
      if (step === undefined) continue
      if (step.kind === 'match') return 'match'
      if (step.kind === 'bytes') this.#stack.push(at)
      else if (step.kind === 'split') open.push(step.a, step.b)
      else if (holds(step.what, before, after)) open.push(step.next)
    }
    return 'steps'
  }

  /** Over one byte, from the steps the closure left. */
  #advance(byte: number, before: Before): number {
    if (byte < 0) return this.#stateOf(new Int32Array(0), other) // the end: nothing matches behind it
    this.#mark++
    const next: number[] = []
    if (!this.#anchored) {
      this.#marks[this.#start] = this.#mark
      next.push(this.#start)
    }
    for (const at of this.#stack) {
      const step = this.#steps[at]
      if (step?.kind !== 'bytes' || step.set[byte] !== 1 || this.#marks[step.next] === this.#mark) continue
      this.#marks[step.next] = this.#mark
      next.push(step.next)
    }
    this.#work += next.length
    return this.#stateOf(Int32Array.from(next).sort(), next.length === 0 ? other : before)
  }

  #stateOf(steps: Int32Array, before: Before): number {
    const key = `${before}${String.fromCharCode(...steps)}`
    const known = this.#known.get(key)
    if (known !== undefined) return known
    if (this.#states.length >= this.#statesMax) {
      this.#reset()
      return this.#stateOf(steps, before)
    }
    const number = this.#states.length
    this.#states.push({ steps, before })
    this.#known.set(key, number)
    if ((number + 1) * this.#count > this.#table.length) {
      const larger = new Int32Array(this.#table.length * 2)
      larger.set(this.#table)
      this.#table = larger
    }
    return number
  }
}

/**
 * `.{n,m}X` anywhere is `.{n,}X` at the first byte: what stands before X may as well all be dots. Null = does not begin
 * so. Without it every byte would begin another walk through n steps.
 */
const widenedFront = (node: Node): Node | null => {
  if (node.kind === 'group') return widenedFront(node.body)
  if (node.kind === 'repeat') return node.body.kind === 'any' ? { ...node, max: Number.POSITIVE_INFINITY } : null
  if (node.kind !== 'sequence') return null
  const [first, ...rest] = node.parts
  const widened = first === undefined ? null : widenedFront(first)
  return widened === null ? null : { kind: 'sequence', parts: [widened, ...rest] }
}

/** Every way in leads through `^`. */
const beginsAtStart = (steps: readonly Step[], start: number): boolean => {
  const seen = new Set<number>()
  const open = [start]
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    if (seen.has(at)) continue
    seen.add(at)
    const step = steps[at]
    if (step === undefined || step.kind === 'match' || step.kind === 'bytes') return false
    if (step.kind === 'split') open.push(step.a, step.b)
    else if (step.what !== 'start') open.push(step.next)
  }
  return true
}

const holds = (what: Assertion, before: Before, after: Before): boolean => {
  const wordBefore = before === word
  const wordAfter = after === word
  switch (what) {
    case 'start':
      return before === nothing
    case 'end':
      return after === nothing
    case 'boundary':
      return wordBefore !== wordAfter
    case 'no-boundary':
      return wordBefore === wordAfter
    case 'word-start':
      return !wordBefore && wordAfter
    case 'word-end':
      return wordBefore && !wordAfter
  }
}

const wordBytes: ByteSet = Uint8Array.from({ length: 256 }, (_, code) => (isWord(code) ? 1 : 0))

/** Class of each byte, and one byte of each class. */
const classesOf = (steps: readonly Step[]): { readonly classes: Uint8Array; readonly bytes: readonly number[] } => {
  const sets = new Set(steps.flatMap(step => (step.kind === 'bytes' ? [step.set] : [])))
  if (steps.some(step => step.kind === 'assert')) sets.add(wordBytes)
  let classes = new Uint8Array(256)
  let count = 1
  for (const set of sets) {
    const split = new Map<number, number>()
    const finer = new Uint8Array(256)
    for (let code = 0; code < 256; code++) {
      const key = (classes[code] ?? 0) * 2 + (set[code] ?? 0)
      if (!split.has(key)) split.set(key, split.size)
      finer[code] = split.get(key) ?? 0
    }
    classes = finer
    count = split.size
  }
  return { classes, bytes: Array.from({ length: count }, (_, c) => classes.indexOf(c)) }
}
