import { type ByteSet, type Node, type PosixTree, upper } from './posix-regex.ts'

// The tree as a JS regex without flags but `s`. Two traps decide the form, each tried on V8 14:
//   - V8's way out of catastrophic patterns (guard.ts) does not know the i flag: `/(a+)+$/i` runs for minutes with the
//     guard on. So letters are written out as [aA].
//   - it knows no look-ahead either, but look-behind: a word begins where `\b` holds and no word byte stands before.

/** `groups`: what parentheses found is wanted. */
export const emitJs = (tree: PosixTree, groups: 'groups' | 'none' = 'none'): string =>
  new Emitter(tree.folded, groups === 'groups').node(tree.root)

class Emitter {
  readonly #folded: boolean
  readonly #groups: boolean

  constructor(folded: boolean, groups: boolean) {
    this.#folded = folded
    this.#groups = groups
  }

  node(node: Node): string {
    switch (node.kind) {
      case 'empty':
        return ''
      case 'byte':
        return this.#byte(node.code)
      case 'set':
        return this.#set(node.bytes, node.negated)
      case 'any':
        return '.'
      case 'assert':
        return assertionSources[node.what]
      case 'sequence':
        return node.parts.map(part => this.#part(part)).join('')
      case 'choice':
        return node.branches.map(branch => this.node(branch)).join('|')
      case 'repeat':
        return this.#repeat(node.body, node.min, node.max)
      case 'group':
        return `(${this.#groups ? '' : '?:'}${this.node(node.body)})`
      case 'reference':
        return '(?!)' // never: patterns that refer back are not given to V8
    }
  }

  #part(node: Node): string {
    return node.kind === 'choice' ? `(?:${this.node(node)})` : this.node(node)
  }

  #byte(code: number): string {
    if (this.#folded && code >= 65 && code <= 90) return `[${String.fromCharCode(code, code + 32)}]`
    return byteSource(code)
  }

  #set(bytes: ByteSet, negated: boolean): string {
    let inside = ''
    for (let from = 0; from < 256; from++) {
      if (!this.#member(bytes, from)) continue
      let to = from
      while (to < 255 && this.#member(bytes, to + 1)) to++
      inside += to === from ? hex(from) : `${hex(from)}-${hex(to)}`
      from = to
    }
    return `[${negated ? '^' : ''}${inside}]`
  }

  /** A folded set holds upper case; a lower-case byte belongs when its upper case does. */
  #member(bytes: ByteSet, code: number): boolean {
    return bytes[this.#folded ? upper(code) : code] === 1
  }

  #repeat(body: Node, min: number, max: number): string {
    const inner = this.node(body)
    const atom = atomic(body) ? inner : `(?:${inner})`
    if (min === 0 && max === Number.POSITIVE_INFINITY) return `${atom}*`
    if (min === 0 && max === 1) return `${atom}?`
    if (min === 1 && max === Number.POSITIVE_INFINITY) return `${atom}+`
    return max === Number.POSITIVE_INFINITY ? `${atom}{${min},}` : min === max ? `${atom}{${min}}` : `${atom}{${min},${max}}`
  }
}

const assertionSources = {
  'start': '^',
  'end': '$',
  'boundary': '\\b',
  'no-boundary': '\\B',
  'word-start': '\\b(?<![\\w])',
  'word-end': '\\b(?<=[\\w])',
} as const

const atomic = (node: Node): boolean =>
  node.kind === 'byte' || node.kind === 'set' || node.kind === 'any' || node.kind === 'group' || node.kind === 'reference'

const byteSource = (code: number): string => {
  const c = String.fromCharCode(code)
  return /[A-Za-z0-9_]/.test(c) ? c : hex(code)
}

const hex = (code: number): string => `\\x${code.toString(16).padStart(2, '0')}`
