import { expect, test } from 'vitest'
import { forwardStatus, hitStatus, refusedStatus, reuseReasons } from '../../src/cache/index.ts'
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
  const facts = { reason: 'stale', serverStatus: 304, stored: true, collapsed: false, detail: '' } as const
  expect(text(forwardStatus(facts))).toBe('q.example; fwd=stale; fwd-status=304; stored')
  expect(text(forwardStatus({ ...facts, reason: 'uri-miss', serverStatus: 0, stored: false, collapsed: true, detail: 'private' }))).toBe(
    'q.example; fwd=uri-miss; collapsed; detail=private',
  )
  expect(text(refusedStatus('only-if-cached'))).toBe('q.example; detail=only-if-cached')
})

test('each reason that goes forward has a word of the registry, and the others have none', () => {
  for (const line of Object.values(reuseReasons)) {
    if (line.kind === 'fresh' || line.kind === 'stale') expect(line.fwd).toBe(null)
    else if (line.fwd !== null) expect(Object.keys(forwardReasons)).toContain(line.fwd)
  }
})
