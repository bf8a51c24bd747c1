import { AccessFacts, type AclOptions, compileAcls } from '../../src/acl/index.ts'
import { endpoint, type FieldView, wallMs } from '../../src/base/index.ts'
import type { AccessLine, AclDefinition, Location } from '../../src/conf/config.ts'

// Definitions and facts as a conf and a proxy would hand them over.

export const place = (line: number): Location => ({ file: 'x.conf', line, column: 1, from: null })

/** `acl NAME TYPE word ...`; each array of words is one line. `-i` counts for the words behind it, `-n` is a flag. */
export const acl = (name: string, type: string, ...lines: readonly (string | readonly string[])[]): AclDefinition => {
  const flags: string[] = []
  const values = lines.flatMap((line, number) => {
    let caseInsensitive = false
    return (typeof line === 'string' ? line.split(' ') : line).flatMap(text => {
      if (text === '-i' || text === '+i') caseInsensitive = text === '-i'
      else if (text === '-n') flags.push(text)
      else return [{ text, at: place(number + 1), caseInsensitive }]
      return []
    })
  })
  const argument = ['req_header', 'rep_header', 'note'].includes(type) ? (values.shift() ?? null) : null
  return { name, type, flags, argument, values, builtIn: false, at: place(1) }
}

/** `allow a !b` on line `number`. */
export const rule = (text: string, number = 1): AccessLine => {
  const [action = '', ...words] = text.split(' ')
  return {
    action: action === 'allow' ? 'allow' : 'deny',
    acls: words.map(word => ({ name: word.replace('!', ''), negated: word.startsWith('!') })),
    text,
    at: place(number),
  }
}

export const factsOf = (of: Partial<AccessFacts> & { readonly clientAddress?: string; readonly localAddress?: string; readonly localPort?: number; readonly listener?: string }): AccessFacts => {
  const facts = new AccessFacts(
    endpoint(of.clientAddress ?? '192.0.2.1', 40000),
    endpoint(of.localAddress ?? '198.51.100.1', of.localPort ?? 80),
    of.listener ?? '3129',
  )
  facts.now = wallMs(1_700_000_000_000)
  const { clientAddress, localAddress, localPort, listener, ...fields } = of
  return Object.assign(facts, fields)
}

export const view = (...pairs: readonly string[]): FieldView => ({
  pairs,
  get: name => pairs[pairs.findIndex((p, i) => i % 2 === 0 && p.toLowerCase() === name) + 1],
  joined: name => {
    const values = pairs.filter((_, i) => i % 2 === 1 && pairs[i - 1]?.toLowerCase() === name)
    return values.length === 0 ? undefined : values.join(', ')
  },
})

/** Does the ACL match? Without waiting. */
export const matches = (definition: AclDefinition, facts: AccessFacts, options: AclOptions = {}): boolean => {
  const { acls, problems } = compileAcls([definition], options)
  const broken = problems.find(p => p.severity === 'fatal' || p.severity === 'error')
  if (broken !== undefined) throw new Error(broken.message)
  return acls.get(definition.name)?.match(facts) === 1
}

/** What is said about a definition: `severity: message`. */
export const remarks = (definition: AclDefinition): string[] =>
  compileAcls([definition]).problems.map(p => `${p.severity}: ${p.message}${p.hint === '' ? '' : ` [${p.hint}]`}`)
