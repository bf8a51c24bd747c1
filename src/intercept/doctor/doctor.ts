import type { Check, Finding, Severity } from './check.ts'
import { bsdChecks } from './checks/bsd.ts'
import { kernelChecks } from './checks/kernel.ts'
import { privilegeChecks } from './checks/privileges.ts'
import { routingChecks } from './checks/routing.ts'
import { ruleChecks } from './checks/rules.ts'
import { runningChecks } from './checks/running.ts'
import type { Facts } from './facts.ts'

// All checks in the order of their numbers, and what they found as text or JSON. Looking changes nothing.

export interface Examined {
  readonly id: string
  readonly severity: Severity
  readonly title: string
  readonly finding: Finding
}

const checks: readonly Check[] = [...privilegeChecks, ...kernelChecks, ...routingChecks, ...ruleChecks, ...runningChecks, ...bsdChecks].toSorted(
  (a, b) => (a.id < b.id ? -1 : 1),
)

/** The commands of ours among the repairs, for the conf that was looked at. */
export const forConf = (examined: readonly Examined[], confFile: string): Examined[] =>
  examined.map(one => {
    const { finding } = one
    if (finding.kind !== 'bad') return one
    const repair = finding.repair.replace(/\bglassquid (?:doctor|rules(?: nft| iptables)?)(?= |$)/g, command => `${command} -f ${confFile}`)
    return { ...one, finding: { ...finding, repair } }
  })

/** A check that fails by itself says so; the others go on. */
export const examine = (facts: Facts): Examined[] =>
  checks.flatMap(({ id, severity, title, look }) => [lookSafely(look, facts)].flat().map(finding => ({ id, severity, title, finding })))

const lookSafely = (look: Check['look'], facts: Facts): Finding | readonly Finding[] => {
  try {
    return look(facts)
  } catch (error) {
    return { kind: 'unknown', fact: `the check itself failed: ${error instanceof Error ? error.message : String(error)}` }
  }
}

/** 1 when something fatal was found, else 0. */
export const doctorExitCode = (examined: readonly Examined[]): number =>
  examined.some(({ severity, finding }) => severity === 'fatal' && finding.kind === 'bad') ? 1 : 0

export const doctorJson = (examined: readonly Examined[]): string =>
  `${JSON.stringify(examined.map(({ finding, ...check }) => ({ ...check, ...finding })), null, 2)}\n`

/** `all`: also what is well and what does not concern this machine. */
export const doctorText = (examined: readonly Examined[], all: boolean): string => {
  const ills = examined.filter(({ finding }) => finding.kind === 'bad')
  const told = all ? examined : examined.filter(({ finding }) => finding.kind === 'bad' || finding.kind === 'unknown')
  const count = (kind: Finding['kind']) => examined.filter(({ finding }) => finding.kind === kind).length
  const summary = `${ills.length} found, ${count('good')} well, ${count('unknown')} not known, ${count('not-here')} not for this machine`
  return `${told.map(paragraph).join('')}${summary}\n`
}

const words: Readonly<Record<Severity, string>> = { fatal: 'FATAL', warning: 'WARNING', info: 'INFO' }

const paragraph = ({ id, severity, title, finding }: Examined): string => {
  switch (finding.kind) {
    case 'bad':
      return `${id} ${words[severity]}: ${title}\n    found   ${finding.fact}\n    breaks  ${finding.breaks}\n    repair  ${finding.repair}\n`
    case 'good':
      return `${id} ok: ${title}: ${finding.fact}\n`
    case 'unknown':
      return `${id} not known: ${title}: ${finding.fact}\n`
    case 'not-here':
      return `${id} -: ${title}: ${finding.fact}\n`
  }
}
