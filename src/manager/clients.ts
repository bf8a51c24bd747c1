import type { Outcome } from '../base/index.ts'
import type { Page } from './page.ts'
import { addNumbers } from './together.ts'
import { codeIndex, codes, isHit } from './traffic.ts'

// Who asked how much (client_db). Clients are many, and can be made up: beyond the limit the one first seen longest ago
// is forgotten.

const clientsMax = 10_000
class ClientSums {
  requests = 0
  hits = 0
  bytesOut = 0
  readonly results = new Uint32Array(codes.length)
}

export class ClientTable {
  /** client_db. */
  on = true
  readonly #clients = new Map<string, ClientSums>()

  get size(): number {
    return this.#clients.size
  }

  count(o: Outcome): void {
    if (!this.on || o.initiator !== 'client') return
    const sums = this.#clients.get(o.client.address) ?? this.#add(o.client.address)
    const index = codeIndex[o.result]
    sums.requests++
    sums.bytesOut += o.responseBytes
    sums.results[index] = (sums.results[index] ?? 0) + 1
    if (isHit[o.result] === true) sums.hits++
  }

  forget(): void {
    this.#clients.clear()
  }

  *list(): Iterable<readonly [address: string, sums: Readonly<ClientSums>]> {
    yield* this.#clients
  }

  #add(address: string): ClientSums {
    if (this.#clients.size >= clientsMax) {
      const oldest = this.#clients.keys().next()
      if (oldest.done !== true) this.#clients.delete(oldest.value)
    }
    const sums = new ClientSums()
    this.#clients.set(address, sums)
    return sums
  }
}

interface ClientLine {
  readonly address: string
  readonly connections: number
  readonly requests: number
  readonly hits: number
  readonly bytesOut: number
  readonly results: Readonly<Record<string, number>>
}

export const clientListPage = (table: ClientTable, connectionsOf: (address: string) => number): Page<readonly ClientLine[]> => ({
  name: 'client_list',
  doc: 'Cache Client List',
  protection: 'public',
  effect: 'shows',
  answer: () => ({
    ok: true,
    value: [...table.list()].map(([address, { requests, hits, bytesOut, results }]) => ({
      address,
      connections: connectionsOf(address),
      requests, hits, bytesOut,
      results: Object.fromEntries(codes.flatMap((code, i) => (results[i] ? [[code, results[i]]] : []))),
    })),
  }),
  text: clientListText,
  together(all) {
    const clients = new Map<string, ClientLine>()
    for (const client of all.flat()) {
      const known = clients.get(client.address)
      clients.set(client.address, known === undefined ? client : addClients(known, client))
    }
    return [...clients.values()]
  },
})

const addClients = (a: ClientLine, b: ClientLine): ClientLine => {
  const results = { ...a.results }
  for (const [code, count] of Object.entries(b.results)) results[code] = (results[code] ?? 0) + count
  return { ...addNumbers(a, b), results }
}

const clientListText = (clients: readonly ClientLine[]): string => {
  const lines = ['Cache Clients:']
  const percent = (part: number, whole: number): string => String(whole > 0 ? Math.round((100 * part) / whole) : 0).padStart(3)
  for (const { address, connections, requests, results } of clients) {
    lines.push(
      `Address: ${address}`,
      `Name:    ${address}`,
      `Currently established connections: ${connections}`,
      '    ICP  Requests 0',
      `    HTTP Requests ${requests}`,
      ...Object.entries(results).map(([code, count]) => `        ${code.padEnd(20)} ${String(count).padStart(7)} ${percent(count, requests)}%`),
      '',
    )
  }
  const requests = clients.reduce((sum, client) => sum + client.requests, 0)
  const hits = clients.reduce((sum, client) => sum + client.hits, 0)
  lines.push('TOTALS', 'ICP : 0 Queries, 0 Hits (  0%)', `HTTP: ${requests} Requests, ${hits} Hits (${percent(hits, requests)}%)`)
  return `${lines.join('\n')}\n`
}
