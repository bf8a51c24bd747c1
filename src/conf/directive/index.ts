import { accessDirectives } from './access-control.ts'
import { delayDirectives } from './delay.ts'
import type { Directive, Retired } from './directive.ts'
import { tlsDirectives } from './features.ts'
import { httpDirectives } from './http.ts'
import { interceptionDirectives } from './interception.ts'
import { icapDirectives } from './icap.ts'
import { tlsOutgoingDirectives } from './tls-outgoing.ts'
import { logDirectives } from './logs.ts'
import { peerDirectives } from './peers.ts'
import { portDirectives } from './ports.ts'
import { processDirectives } from './process.ts'
import { programDirectives } from './programs.ts'
import { refreshDirectives } from './refresh.ts'
import { retired } from './retired.ts'
import { ruleDirectives } from './rules.ts'
import { serviceDirectives } from './services.ts'
import { storageDirectives } from './storage.ts'
import { timeoutDirectives } from './timeouts.ts'

// The table: every directive of Squid and Lusca, and ours. Sections are in the order of the documentation.

export const sections = {
  'Listening': portDirectives,
  'Services': serviceDirectives,
  'Zones and rules': ruleDirectives,
  'Access control': accessDirectives,
  'Delay pools': delayDirectives,
  'Interception and origins': interceptionDirectives,
  'Stored responses': storageDirectives,
  'Freshness': refreshDirectives,
  'Logs': logDirectives,
  'HTTP': httpDirectives,
  'Time-outs': timeoutDirectives,
  'Process and names': processDirectives,
  'Peers': peerDirectives,
  'TLS': { ...tlsDirectives, ...tlsOutgoingDirectives },
  'Helpers': programDirectives,
  'ICAP': icapDirectives,
} as const

export const directives = {
  ...portDirectives,
  ...serviceDirectives,
  ...ruleDirectives,
  ...accessDirectives,
  ...delayDirectives,
  ...interceptionDirectives,
  ...storageDirectives,
  ...refreshDirectives,
  ...logDirectives,
  ...httpDirectives,
  ...timeoutDirectives,
  ...processDirectives,
  ...peerDirectives,
  ...tlsDirectives,
  ...tlsOutgoingDirectives,
  ...programDirectives,
  ...icapDirectives,
}

export type DirectiveName = keyof typeof directives

export { retired }

/** Seen from the parser, which does not know what the values are. */
export type AnyDirective = Directive<unknown>

export type Known =
  | { readonly name: DirectiveName; readonly live: AnyDirective }
  | { readonly name: string; readonly live: null; readonly retired: Retired }

const byName = new Map<string, Known>()

for (const [name, live] of Object.entries(directives)) {
  // the key is one of the table's, and a Directive<T> is read by its own kind only
  const known = { name: name as DirectiveName, live: live as AnyDirective }
  for (const spelling of [name, ...live.aliases]) byName.set(spelling, known)
}
for (const [name, entry] of Object.entries(retired)) {
  for (const spelling of [name, ...entry.aliases]) byName.set(spelling, { name, live: null, retired: entry })
}

/** By name or alias; names know case. */
export const knownDirective = (name: string): Known | undefined => byName.get(name)

/** Every spelling there is. */
export const directiveNames = (): Iterable<string> => byName.keys()

/** A running proxy does not follow it. */
export const needsRestart = (name: string): boolean => {
  const live = knownDirective(name)?.live ?? null
  return live !== null && live.reload === 'restart'
}
