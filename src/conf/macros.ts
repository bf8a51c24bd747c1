import type { Findings } from './findings.ts'
import { commentAt, type LogicalLine, type Replacement } from './lexer.ts'
import type { ConfWorld } from './world.ts'

// Macros are textual and work everywhere in a line:
//
//   ${service_name} ${process_name} ${process_number}      as in Squid
//   ${env:NAME}  ${env:NAME:-default}                       ours: people otherwise template their conf with sed
//
// Anything else that looks like one was meant for a template engine and is an error: read literally, an allow-list with
// an unfilled placeholder would silently match nothing. A lone `$NAME` stays as it is (`$` is an anchor in a regex).

// ${word...}, {{word}}, or __WORD__ and @WORD@ as whole words; a regex such as `a${1,2}` or JSON such as `{"a":{"b":1}}` is neither
const mark = /\$\{([A-Za-z_][^{}\s]*)\}|\{\{\s*[\w.$-][^{}]*\}\}|(?<=^|[\s:=/"'])(?:__[A-Z][A-Z0-9_]*__|@[A-Z][A-Z0-9_]*@)(?=$|[\s:/"'])/g

/** The line with its macros replaced; `broken` if one could not be (and was reported). */
export const expandMacros = (line: LogicalLine, world: ConfWorld, findings: Findings): LogicalLine => {
  if (!/[{@]|__/.test(line.text)) return line
  const replacements: Replacement[] = []
  let refused = false
  for (const found of line.text.matchAll(mark)) {
    const value = found[1] === undefined ? null : valueOf(found[1], world)
    if (value?.ok) {
      replacements.push({ start: found.index, end: found.index + found[0].length, text: value.text })
      continue
    }
    if (found.index > commentAt(line.text)) continue
    findings.error(
      line.at(found.index),
      value?.message ?? `\`${found[0]}\` looks like an unfilled template placeholder`,
      value?.hint ?? placeholderHint,
    )
    refused = true
  }
  if (refused) return line.brokenCopy()
  return replacements.length === 0 ? line : line.replaced(replacements)
}

const placeholderHint = 'fill it in, or use ${env:NAME} or ${env:NAME:-default}, which are read from the environment'

type MacroValue =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly message: string; readonly hint: string }

const valueOf = (name: string, world: ConfWorld): MacroValue => {
  if (name === 'service_name') return { ok: true, text: world.serviceName ?? 'glassquid' }
  if (name === 'process_name') return { ok: true, text: world.processName ?? 'glassquid' }
  if (name === 'process_number') return { ok: true, text: String(world.processNumber ?? 0) }
  if (!name.startsWith('env:')) {
    return {
      ok: false,
      message: `\`\${${name}}\` looks like an unfilled template placeholder`,
      hint: placeholderHint,
    }
  }
  const dash = name.indexOf(':-', 4)
  const variable = dash < 0 ? name.slice(4) : name.slice(4, dash)
  const set = world.env[variable]
  // as in a shell, `:-` also stands in for an empty variable
  const text = dash >= 0 && (set === undefined || set === '') ? name.slice(dash + 2) : set
  if (text === undefined) {
    return {
      ok: false,
      message: `the environment variable ${variable} is not set`,
      hint: `set it, or give a default: \${env:${variable}:-default}`,
    }
  }
  // a line break would smuggle in a second directive
  if (/[\r\n]/.test(text))
    return { ok: false, message: `the environment variable ${variable} holds a line break`, hint: '' }
  return { ok: true, text }
}
