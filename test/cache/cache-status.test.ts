import { expect, test } from 'vitest'
import { forwardStatus, hitStatus, reuseReasons, validatedStatus } from '../../src/cache/index.ts'
import { cacheStatusText, forwardReasons } from '../../src/http/index.ts'
import { at, storedOf } from './kit.ts'

// Guards the Cache-Status facts (RFC 9211). Sees them in the text a client gets.

const text = (facts: Parameters<typeof cacheStatusText>[1]) => cacheStatusText('q.example', facts)

test('a hit tells what is left of its freshness', () => {
  const stored = storedOf({ response: ['Cache-Control: max-age=10', 'ETag: "a"'] })
  expect(text(hitStatus(stored, 'fresh', at(4)))).toBe('q.example; hit; ttl=6')
  expect(text(hitStatus(stored, 'client-max-stale', at(14)))).toBe('q.example; hit; ttl=-4; detail=client-max-stale')
})

test('what went forward tells why, and what became of it', () => {
  const stored = storedOf({ response: ['Cache-Control: max-age=10', 'ETag: "a"'] })
  const facts = { fwd: 'stale', serverStatus: 304, status: 200, stored: true, collapsed: false, detail: '' } as const
  expect(text(validatedStatus(stored, facts, at(4)))).toBe('q.example; fwd=stale; fwd-status=304; ttl=6; stored')
  expect(text(forwardStatus({ ...facts, fwd: 'uri-miss', serverStatus: 0, stored: false, collapsed: true, detail: 'private' }))).toBe(
    'q.example; fwd=uri-miss; collapsed; detail=private',
  )
  // the server's status is said where it is not the one of the response
  expect(text(forwardStatus({ ...facts, fwd: 'miss', serverStatus: 200 }))).toBe('q.example; fwd=miss; stored')
})

test('each reason that goes forward has a word of the registry, and the others have none', () => {
  for (const line of Object.values(reuseReasons)) {
    if (line.kind === 'fresh' || line.kind === 'stale') expect(line.fwd).toBe(null)
    else if (line.fwd !== null) expect(Object.keys(forwardReasons)).toContain(line.fwd)
  }
})
