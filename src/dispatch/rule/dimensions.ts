import { PrefixTable, PrefixTableBuilder, type Zone } from '../../acl/index.ts'
import { type AddressWords, masked, type Prefix } from '../../base/index.ts'
import type { PortRange } from './rule.ts'
import { clearBit, emptyRow, type Row, type RowPool, setBit } from './rows.ts'

// From the values of one kind, over all rules, to the row of rules that name a given one. Values that hold others (a
// network within a network, a zone below a zone) have those rules in their rows, too.

/** Values of one kind with the position of the rule that names them. */
export type Named<T> = readonly { readonly value: T; readonly position: number }[]

export const rowsByName = <T>(pool: RowPool, named: Named<T>): ReadonlyMap<T, Row> => {
  const rows = new Map<T, Row>()
  for (const [value, group] of Map.groupBy(named, one => one.value)) rows.set(value, rowOf(pool, null, group))
  return rows
}

/** The row of each port. */
export const rowsByPort = (pool: RowPool, named: Named<PortRange>): Uint32Array => {
  const rows = new Uint32Array(65536)
  if (named.length === 0) return rows
  const begins = Map.groupBy(named, one => one.value.first)
  const ends = Map.groupBy(named, one => one.value.last + 1)
  const counts = new Map<number, number>() // a rule may name a port twice
  const bits = new Uint32Array(pool.words)
  let row = emptyRow
  for (let port = 0; port < 65536; port++) {
    const [beginning, ending] = [begins.get(port), ends.get(port)]
    if (beginning !== undefined || ending !== undefined) {
      for (const { position } of ending ?? []) if (changeCount(counts, position, -1) === 0) clearBit(bits, position)
      for (const { position } of beginning ?? []) if (changeCount(counts, position, 1) === 1) setBit(bits, position)
      row = pool.add(bits)
    }
    rows[port] = row
  }
  return rows
}

const changeCount = (counts: Map<number, number>, position: number, by: number): number => {
  const count = (counts.get(position) ?? 0) + by
  counts.set(position, count)
  return count
}

/** The row of an address is that of the longest network that holds it; none: the table's -1. */
export const rowsByNetwork = (pool: RowPool, named: Named<Prefix>): PrefixTable => {
  const builder = new PrefixTableBuilder()
  const bitsOf = new Map<string, Uint32Array>()
  // shorter ones first: a network's row begins as that of the longest one around it
  const groups = [...Map.groupBy(named, ({ value }) => keyOf(value.words, value.length)).values()]
  const byLength = groups.toSorted((a, b) => (a[0]?.value.length ?? 0) - (b[0]?.value.length ?? 0))
  const lengths = new Set(named.map(({ value }) => value.length))
  for (const group of byLength) {
    const [first] = group
    if (first === undefined) continue
    const { words, length } = first.value
    const bits = new Uint32Array(around(bitsOf, words, length, lengths) ?? new Uint32Array(pool.words))
    for (const { position } of group) setBit(bits, position)
    bitsOf.set(keyOf(words, length), bits)
    builder.add(first.value, pool.add(bits))
  }
  return builder.build().table
}

const around = (
  bitsOf: ReadonlyMap<string, Uint32Array>,
  words: AddressWords,
  length: number,
  lengths: ReadonlySet<number>,
): Uint32Array | null => {
  for (let shorter = length - 1; shorter >= 0; shorter--) {
    const bits = lengths.has(shorter) ? bitsOf.get(keyOf(masked(words, shorter), shorter)) : undefined
    if (bits !== undefined) return bits
  }
  return null
}

const keyOf = (words: AddressWords, length: number): string => `${words.join(' ')}/${length}`

/** The row of each zone by its number. `zones` have their parents before them. */
export const rowsByZone = (pool: RowPool, zones: readonly Zone[], named: Named<Zone>): Uint32Array => {
  const rows = new Uint32Array(zones.length)
  const groups = Map.groupBy(named, one => one.value)
  const bitsOf = new Map<Zone, Uint32Array>()
  for (const zone of zones) {
    const group = groups.get(zone)
    const above = zone.parent === null ? undefined : bitsOf.get(zone.parent)
    if (group === undefined) {
      if (above !== undefined) bitsOf.set(zone, above)
      rows[zone.number] = zone.parent === null ? emptyRow : (rows[zone.parent.number] ?? emptyRow)
      continue
    }
    const bits = new Uint32Array(above ?? new Uint32Array(pool.words))
    for (const { position } of group) setBit(bits, position)
    bitsOf.set(zone, bits)
    rows[zone.number] = pool.add(bits)
  }
  return rows
}

const rowOf = (pool: RowPool, start: Uint32Array | null, group: readonly { readonly position: number }[]): Row => {
  const bits = new Uint32Array(start ?? new Uint32Array(pool.words))
  for (const { position } of group) setBit(bits, position)
  return pool.add(bits)
}
