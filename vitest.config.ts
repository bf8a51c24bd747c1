import { defineConfig } from 'vitest/config'

// Fast groups run files side by side; test/run.ts runs the slow ones (namespaces, daemons) one after the other.
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    testTimeout: 30_000,
    hookTimeout: 30_000,
    // a promise nobody awaited is a failure (conventions 24)
    dangerouslyIgnoreUnhandledErrors: false,
  },
})
