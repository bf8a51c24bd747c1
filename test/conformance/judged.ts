import { beforeAll, expect, it } from 'vitest'
import { counts, differences } from './expected.ts'
import type { Result } from './suite.ts'

/** The same three tests for every way the suite is run. */
export const judged = (run: () => Promise<readonly Result[]>): void => {
  let results: readonly Result[] = []
  beforeAll(async () => {
    results = await run()
  }, 60_000)

  it.each(['required', 'optimal', 'check'] as const)('%s: every test but those listed with a reason passes, and none of these', kind => {
    expect(results.filter(result => result.kind === kind)).toHaveLength(counts[kind])
    expect(differences(results, kind)).toEqual({ failed: [], needless: [] })
  })
}
