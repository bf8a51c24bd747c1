// Looks for many texts in one pass over a subject (Aho and Corasick). The trie lies in typed arrays: a node has its
// edges in order of their byte, nearly always one, and the root has a table of all 256.
//
//   for each byte: follow an edge, else go to the longest suffix that is in the trie and try again
//   at each node:  report the texts that end here, then those that end here as suffixes

export class SubstringsBuilder {
  readonly #children: Map<number, number>[] = [new Map()]
  readonly #ending: number[][] = [[]]

  /** `owner` is reported when `text` occurs; a text may have several. */
  add(text: string, owner: number): void {
    let node = 0
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i)
      const edges = this.#children[node]
      let child = edges?.get(code)
      if (child === undefined) {
        child = this.#children.length
        edges?.set(code, child)
        this.#children.push(new Map())
        this.#ending.push([])
      }
      node = child
    }
    this.#ending[node]?.push(owner)
  }

  build(): Substrings {
    return new Substrings(this.#children, this.#ending)
  }
}

export class Substrings {
  /** Edges of node n: `#edgeCodes` and `#edgeNodes` from `#edges[n]` to `#edges[n + 1]`. */
  readonly #edges: Uint32Array
  readonly #edgeCodes: Uint8Array
  readonly #edgeNodes: Uint32Array
  readonly #root = new Uint32Array(256)
  readonly #suffix: Uint32Array
  /** The nearest suffix at which a text ends; 0 = none. */
  readonly #ends: Uint32Array
  /** Owners of the texts that end at node n: `owners` from `#ownersFrom[n]` to `#ownersFrom[n + 1]`. */
  readonly owners: Uint32Array
  readonly #ownersFrom: Uint32Array

  constructor(children: readonly ReadonlyMap<number, number>[], ending: readonly (readonly number[])[]) {
    const nodes = children.length
    this.#edges = new Uint32Array(nodes + 1)
    this.#edgeCodes = new Uint8Array(nodes - 1)
    this.#edgeNodes = new Uint32Array(nodes - 1)
    this.#suffix = new Uint32Array(nodes)
    this.#ends = new Uint32Array(nodes)
    this.owners = Uint32Array.from(ending.flat())
    this.#ownersFrom = new Uint32Array(nodes + 1)
    ending.forEach((owners, node) => {
      this.#ownersFrom[node + 1] = (this.#ownersFrom[node] ?? 0) + owners.length
    })
    let edge = 0
    children.forEach((edges, node) => {
      this.#edges[node] = edge
      for (const [code, child] of [...edges].sort((a, b) => a[0] - b[0])) {
        this.#edgeCodes[edge] = code
        this.#edgeNodes[edge++] = child
      }
    })
    this.#edges[nodes] = edge
    for (const [code, child] of children[0] ?? []) this.#root[code] = child
    this.#link(children)
  }

  /** Suffixes by breadth: each is shorter than its node, so it is known before. */
  #link(children: readonly ReadonlyMap<number, number>[]): void {
    const queue = [...(children[0]?.values() ?? [])]
    for (const node of queue) {
      const suffix = this.#suffix[node] ?? 0
      this.#ends[node] = this.#endsAt(suffix) ? suffix : (this.#ends[suffix] ?? 0)
      for (const [code, child] of children[node] ?? []) {
        this.#suffix[child] = this.step(suffix, code)
        queue.push(child)
      }
    }
  }

  step(from: number, code: number): number {
    for (let node = from; node !== 0; node = this.#suffix[node] as number) {
      const end = this.#edges[node + 1] as number // nodes are within by construction, here and below
      for (let edge = this.#edges[node] as number; edge < end; edge++) {
        if (this.#edgeCodes[edge] === code) return this.#edgeNodes[edge] as number
      }
    }
    return this.#root[code] ?? 0 // a code above 255 is in no text
  }

  /** The first node at or behind `node` where a text ends; 0 = none. Continue with `nextEnd`. */
  firstEnd(node: number): number {
    return this.#endsAt(node) ? node : (this.#ends[node] as number)
  }

  nextEnd(node: number): number {
    return this.#ends[node] as number
  }

  /** Where in `owners` those of the texts that end at `node` begin; they end where those of `node + 1` begin. */
  ownersFrom(node: number): number {
    return this.#ownersFrom[node] as number
  }

  #endsAt(node: number): boolean {
    return this.#ownersFrom[node + 1] !== this.#ownersFrom[node]
  }
}
