import type { Node } from './posix-regex.ts'

// Most patterns of real lists are plain text with an anchor, or hold a text that must occur. Both can be searched for
// all patterns at once (substrings.ts): the first kind needs no regex at all, the second only when its text was seen.

export interface Literal {
  readonly text: string
  readonly atStart: boolean
  readonly atEnd: boolean
}

/** More alternatives than these per pattern are left to the regex. */
const alternativesMax = 64
/** Shorter texts occur in half of all subjects: nothing is saved by looking for them first. */
export const factorLengthMin = 3

/** Where an anchor stands in a text being built. Not bytes, so they cannot be mistaken. */
const startMark = '\u0100'
const endMark = '\u0101'

/** The literals one of which must occur for the pattern to match, and then it does; null = the pattern says more. */
export const literalsOf = (root: Node): Literal[] | null => {
  const texts = textsOf(root)
  if (texts === null) return null
  const literals: Literal[] = []
  for (const text of texts) {
    const bare = text.replaceAll(startMark, '').replaceAll(endMark, '')
    const atStart = text.startsWith(startMark)
    const atEnd = text.endsWith(endMark)
    // an anchor in the middle can only hold in an empty subject: left to the regex
    if (text !== (atStart ? startMark : '') + bare + (atEnd ? endMark : '')) return null
    if (bare === '') return null
    literals.push({ text: bare, atStart, atEnd })
  }
  return literals
}

/** Texts one of which occurs in everything the pattern matches; null = none worth looking for. */
export const factorsOf = (node: Node): string[] | null => {
  const best = bestFactors(node)
  return best !== null && shortest(best) >= factorLengthMin ? best : null
}

/** Everything a node can match when that is a short list of texts, anchors included; null when it is not. */
const textsOf = (node: Node): string[] | null => {
  switch (node.kind) {
    case 'empty':
      return ['']
    case 'byte':
      return [String.fromCharCode(node.code)]
    case 'assert':
      return node.what === 'start' ? [startMark] : node.what === 'end' ? [endMark] : null
    case 'group':
      return textsOf(node.body)
    case 'choice':
      return union(node.branches.map(textsOf))
    case 'sequence':
      return node.parts.reduce<string[] | null>((texts, part) => product(texts, textsOf(part)), [''])
    case 'repeat': {
      if (node.max !== 1) return null
      const texts = textsOf(node.body)
      return node.min === 1 ? texts : union([texts, ['']])
    }
    case 'set': // [Aa], [0-3]
      return node.negated ? null : membersOf(node.bytes)
    case 'any':
    case 'reference':
      return null
  }
}

const membersOf = (bytes: Uint8Array): string[] | null => {
  const members: string[] = []
  bytes.forEach((is, code) => is === 1 && members.push(String.fromCharCode(code)))
  return members.length <= 8 ? members : null
}

const bestFactors = (node: Node): string[] | null => {
  const texts = textsOf(node)
  if (texts !== null) return texts.map(text => text.replaceAll(startMark, '').replaceAll(endMark, ''))
  switch (node.kind) {
    case 'group':
      return bestFactors(node.body)
    case 'repeat':
      return node.min > 0 ? bestFactors(node.body) : null
    case 'choice':
      return union(node.branches.map(bestFactors))
    case 'sequence':
      return bestRun(node.parts)
    default:
      return null
  }
}

/** Neighbours with short lists make longer texts together; the list whose shortest text is longest wins. */
const bestRun = (parts: readonly Node[]): string[] | null => {
  let best: string[] | null = null
  let run: string[] = ['']
  const take = (candidate: string[] | null) => {
    if (candidate !== null && (best === null || shortest(candidate) > shortest(best))) best = candidate
  }
  for (const part of parts) {
    const texts = textsOf(part)?.map(text => text.replaceAll(startMark, '').replaceAll(endMark, '')) ?? null
    const longer = product(run, texts)
    if (longer !== null) {
      run = longer
      continue
    }
    take(run)
    run = texts ?? ['']
    if (texts === null) take(bestFactors(part))
  }
  take(run)
  return best
}

const shortest = (texts: readonly string[]): number => Math.min(...texts.map(text => text.length))

const union = (lists: readonly (readonly string[] | null)[]): string[] | null => {
  const all = new Set<string>()
  for (const list of lists) {
    if (list === null) return null
    for (const text of list) all.add(text)
  }
  return all.size <= alternativesMax ? [...all] : null
}

const product = (heads: readonly string[] | null, tails: readonly string[] | null): string[] | null => {
  if (heads === null || tails === null || heads.length * tails.length > alternativesMax) return null
  return heads.flatMap(head => tails.map(tail => head + tail))
}
