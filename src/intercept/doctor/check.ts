import type { Facts } from './facts.ts'

// What a check is and what it answers. The ids are numbered once and stay: scripts and people look for them.

/** fatal: connections are lost or go round the proxy. warning: some are, or may be. info: worth knowing. */
export type Severity = 'fatal' | 'warning' | 'info'

export interface Check {
  readonly id: `D${number}`
  readonly severity: Severity
  readonly title: string
  look(facts: Facts): Finding | readonly Finding[]
}

export type Finding =
  | { readonly kind: 'good'; readonly fact: string }
  | Bad
  /** It could not be found out: what was missing. */
  | { readonly kind: 'unknown'; readonly fact: string }
  /** Nothing here that it could be about. */
  | { readonly kind: 'not-here'; readonly fact: string }

export interface Bad {
  readonly kind: 'bad'
  readonly fact: string
  readonly breaks: string
  /** One command, or one sentence where there is none. */
  readonly repair: string
}

export const good = (fact: string): Finding => ({ kind: 'good', fact })
export const bad = (fact: string, breaks: string, repair: string): Bad => ({ kind: 'bad', fact, breaks, repair })
export const unknown = (fact: string): Finding => ({ kind: 'unknown', fact })
export const notHere = (fact: string): Finding => ({ kind: 'not-here', fact })
