import { admit } from './admit.ts'
import { bump } from './bump/bump.ts'
import { deliver } from './deliver.ts'
import { fetch } from './fetch.ts'
import { finish } from './finish.ts'
import { lookup } from './lookup.ts'
import { manage } from './manage.ts'
import { purge } from './purge.ts'
import { receive } from './receive.ts'
import { refuse } from './refuse.ts'
import type { Transaction } from './transaction.ts'
import { tunnel } from './tunnel.ts'
import { validate } from './validate.ts'

// The life of a transaction:
//
//   receive ─► admit ─► lookup ─┬─► deliver ──────────────┬─► finish
//                │              ├─► validate ─► (deliver) ─┤
//                │              └─► fetch ────────────────┤
//                ├─► tunnel ◄── bump ─────────────────────┤
//                ├─► purge, manage ───────────────────────┤
//                └─► refuse ──────────────────────────────┘      (any step may go to refuse)
//
// A step answers the name of the next one; a promise only when it has to wait. A memory hit runs through without one.

export const stepNames = {
  receive: 'what is asked: target URI, framing, version',
  admit: 'may it: loops, Host verification, http_access',
  lookup: 'is it stored, and may the stored response be used',
  deliver: 'the stored response to the client',
  validate: 'ask the origin whether the stored response is still right',
  fetch: 'the response from the origin, to the client and into the store',
  tunnel: 'bytes both ways: CONNECT, Upgrade',
  bump: 'TLS behind a CONNECT: passed on, read, or ended',
  purge: 'what is stored of it goes: PURGE',
  manage: 'a page of our own: the cache manager',
  refuse: 'an answer of our own: error pages',
  finish: 'the record, and the next request',
} as const

export type Step = keyof typeof stepNames
export type Next = Step | 'done'

const steps: { readonly [S in Step]: (t: Transaction) => Next | Promise<Next> } = {
  receive,
  admit,
  lookup,
  deliver,
  validate,
  fetch,
  tunnel,
  bump,
  purge,
  manage,
  refuse,
  finish,
}

export const runSteps = (t: Transaction, from: Step): void => {
  let at: Next = from
  try {
    while (at !== 'done') {
      t.step = at
      const next: Next | Promise<Next> = steps[at](t)
      if (typeof next !== 'string') {
        next.then(
          step => step !== 'done' && runSteps(t, step),
          error => t.broke(error),
        )
        return
      }
      at = next
    }
  } catch (error) {
    t.broke(error)
  }
}
