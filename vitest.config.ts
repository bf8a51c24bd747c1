import { defineConfig } from 'vitest/config'

// Fast groups run files side by side; test/run.ts runs the slow ones (namespaces, daemons) one after the other.
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    // guards against hanging, not against slowness: a busy machine takes several times what a quiet one does
    testTimeout: 90_000,
    hookTimeout: 60_000,
    // a promise nobody awaited is a failure (conventions 24)
    dangerouslyIgnoreUnhandledErrors: false,
  },
})
