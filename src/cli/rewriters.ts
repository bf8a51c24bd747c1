import { type AccessFacts, type AccessList, type AclTable, compileCondition, compileReplacing } from '../acl/index.ts'
import type { Outcome } from '../base/index.ts'
import { type AccessLine, type Config, type Diagnostic, placeOf } from '../conf/index.ts'
import { compileText } from '../log/index.ts'
import type { Identifier, Rewriter } from '../proxy/index.ts'
import type { Ask, Programs } from './programs.ts'

// url_rewrite_program and store_id_program: what they are told, and who is.

type CompileList = (lines: readonly AccessLine[], otherwise: 'allow' | 'deny') => AccessList

export const rewriterOf = (config: Config, programs: Programs, acls: AclTable, list: CompileList, problems: Diagnostic[]): Rewriter | null => {
  if (config.url_rewrite_program.length === 0) return internalRewriter(config, acls, list, problems)
  const { timeout, onTimeout, response } = config.url_rewrite_timeout
  const ask = programs.add({ name: 'url_rewrite_program', command: config.url_rewrite_program, children: config.url_rewrite_children, timeout, at: placeOf(config, 'url_rewrite_program') })
  return {
    access: accessOf(config.url_rewrite_access, list),
    ask: questioner(ask, 'url_rewrite_extras', config, problems),
    hostFollows: config.url_rewrite_host_header,
    silence:
      config.url_rewrite_bypass ? { kind: 'bypass' } : onTimeout === 'use_configured_response' ? { kind: 'answer', text: response } : { kind: onTimeout },
  }
}

/** rewrite: as Lusca's; null = there is no line. */
const internalRewriter = (config: Config, acls: AclTable, list: CompileList, problems: Diagnostic[]): Rewriter | null => {
  const rules = config.rewrite.flatMap(({ regex, target, acls: uses, at }) => {
    const when = compileCondition(uses, acls, at)
    if (regex !== null) {
      const compiled = compileReplacing(regex.text, regex.caseInsensitive, target)
      if (compiled.ok) return [{ when, textOf: (outcome: Outcome) => compiled.replaced(outcome.uri) }]
      problems.push({ severity: 'fatal', at, message: `rewrite: ${compiled.message}`, hint: compiled.hint })
      return []
    }
    const format = compileText(logformatOf(target), 'raw')
    for (const { severity, message } of format.problems) problems.push({ severity, at, message: `rewrite: ${message}`, hint: '' })
    return [{ when, textOf: format.text }]
  })
  if (rules.length === 0) return null
  const answerFor = (outcome: Outcome, facts: AccessFacts): string => {
    for (const { when, textOf } of rules) {
      const text = when.holds(facts) ? textOf(outcome) : null
      if (text !== null) return text === '-' ? '' : text
    }
    return ''
  }
  return {
    access: accessOf(config.rewrite_access, list),
    ask: async (outcome, facts) => ({ ok: true, text: answerFor(outcome, facts) }),
    hostFollows: config.url_rewrite_host_header,
    silence: { kind: 'bypass' },
  }
}

/** Lusca's codes that mean something else in a logformat. */
const logformatOf = (target: string): string => target.replace(/%(#?)r([hHP])/g, (_, mark: string, code: string) => `%${mark}${code === 'h' ? '>rd' : code === 'H' ? '{Host}>h' : '>rs'}`)

export const identifierOf = (config: Config, programs: Programs, list: CompileList, problems: Diagnostic[]): Identifier | null => {
  if (config.store_id_program.length === 0) return null
  const ask = programs.add({ name: 'store_id_program', command: config.store_id_program, children: config.store_id_children, at: placeOf(config, 'store_id_program') })
  return {
    access: accessOf(config.store_id_access, list),
    ask: questioner(ask, 'store_id_extras', config, problems),
    bypass: config.store_id_bypass,
  }
}

const accessOf = (lines: readonly AccessLine[], list: CompileList): AccessList | null => (lines.length === 0 ? null : list(lines, 'allow'))

/** `URL extras`; a URI has no blanks. */
const questioner = (ask: Ask, directive: 'url_rewrite_extras' | 'store_id_extras', config: Config, problems: Diagnostic[]): ((outcome: Outcome) => ReturnType<Ask>) => {
  const extras = config[directive]
  const format = compileText(extras, 'url', true)
  for (const { severity, message } of format.problems) {
    problems.push({ severity, at: placeOf(config, directive), message: `${directive}: ${message}`, hint: '' })
  }
  return outcome => ask(extras === '' ? outcome.uri : `${outcome.uri} ${format.text(outcome)}`)
}
