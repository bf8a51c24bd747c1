import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { casesOf, outcomeOf } from './golden.ts'

// The contract: a conf gives exactly these diagnostics, each with its file, line, column and include chain, and these
// values. Seen by comparing whole lists, so that a remark too many fails as well.

const folder = new URL('../golden/conf/', import.meta.url)

for (const file of readdirSync(folder)
  .filter(f => f.endsWith('.conftest'))
  .sort()) {
  describe(file, () => {
    for (const one of casesOf(readFileSync(new URL(file, folder), 'utf8'))) {
      test(one.title, () => expect(outcomeOf(one)).toEqual(one.expected))
    }
  })
}
