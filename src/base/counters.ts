// Counters are declared where they are counted, with what they mean and what to do when they grow; the manager room
// and the documentation print the same words.

export interface CounterDoc {
  readonly doc: string
  /** What an operator should look at when it grows. Absent = growth is normal. */
  readonly whenItGrows?: string
}

export type CounterTable = Readonly<Record<string, CounterDoc>>

/** Plain numbers: `count.hits++` costs a field write. */
export type Counters<T extends CounterTable> = { -readonly [K in keyof T]: number }

export const declareCounters = <const T extends CounterTable>(table: T): Counters<T> & { readonly [docs]: T } => {
  const counters: Record<string, number> = {}
  for (const name of Object.keys(table)) counters[name] = 0
  return Object.defineProperty(counters, docs, { value: table, enumerable: false }) as Counters<T> & {
    readonly [docs]: T
  } // the loop above made one number per key of the table
}

export const docs: unique symbol = Symbol('counter docs')
