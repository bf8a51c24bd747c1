import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { aclTypes, builtInAcls } from './acl-types.ts'
import type { Retired } from './directive/directive.ts'
import { type AnyDirective, retired, sections } from './directive/index.ts'

// The documented conf and the reference page, written from the table. Run this file to write them anew:
//
//   bin/nodex src/conf/document.ts

const grammar = `One directive per line: its name, a blank, its values. A "#" at the beginning of a word starts a comment. A line that
ends in "\\" goes on in the next one; blanks there are skipped and none is put in between. Names of directives know case,
names of ACLs do not. A word may be a number (also 0x1f and 017), a size ("256 MB": bytes, KB, MB, GB, each 1024 times
the one before), a time ("5 minutes": seconds, minutes, hours, days, weeks ...), "on" or "off".

include FILE ... reads other files here; *, ? and [] work, and a pattern may match nothing. Paths are relative to the
working directory.

if CONDITION / else / endif: CONDITION is true, false, or INT = INT. They may be nested; every file closes its own.

\${service_name}, \${process_name}, \${process_number} and \${env:NAME}, \${env:NAME:-default} are replaced everywhere.
Whatever else looks like a template's placeholder is an error.

"glassquid -k parse -f FILE" tells everything that is wrong with a file at once.`

const words = {
  works: 'works',
  accepted: 'accepted, no effect needed',
  later: 'read and checked, without effect yet',
} as const

const entries = (section: object): [name: string, entry: AnyDirective][] =>
  Object.entries(section) as [string, AnyDirective][] // sections hold directives

const defaultOf = (name: string, entry: AnyDirective): string =>
  entry.default === null ? 'none' : `${name} ${entry.default}`

const retiredOf = (status: Retired['status']): [name: string, entry: Retired][] =>
  Object.entries(retired).filter(([, entry]) => entry.status === status)

/** Paragraphs of at most `width` columns; an empty line parts them. */
const wrapped = (text: string, width: number): string[] =>
  text.split('\n\n').flatMap((paragraph, i) => [...(i > 0 ? [''] : []), ...fill(paragraph, width)])

const fill = (paragraph: string, width: number): string[] => {
  const lines: string[] = []
  let line = ''
  for (const word of paragraph.split(/\s+/)) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line]
}

// --- conf/glassquid.conf.documented ---

export const documentedConf = (): string => {
  const lines = [
    'glassquid.conf.documented: every directive, what it does and its default.',
    'Generated from the table of directives; glassquid.conf is the one to edit.',
    '',
    ...wrapped(grammar, 110),
  ]
  for (const [title, section] of Object.entries(sections)) {
    lines.push('', '', `===== ${title.toUpperCase()} =====`)
    for (const [name, entry] of entries(section)) lines.push('', ...confEntry(name, entry))
  }
  lines.push(
    '',
    '',
    '===== NO LONGER NEEDED =====',
    '',
    'Accepted without a word:',
    ...fill(namesOf('silent').join(', '), 106).map(l => `  ${l}`),
  )
  lines.push(
    '',
    'Accepted with a warning:',
    ...adviceOf('warned'),
    '',
    'Read as their modern form:',
    ...adviceOf('translated'),
  )
  lines.push('', 'Refused, since leaving them out would change what the conf means:', ...adviceOf('rejected'))
  return `${lines.map(l => (l === '' ? '#' : `# ${l}`)).join('\n')}\n`
}

const confEntry = (name: string, entry: AnyDirective): string[] => {
  const lines = [`TAG: ${name} ${entry.kind.grammar}`]
  const facts = factsOf(entry)
  lines.push(
    ...wrapped(entry.doc, 106).map(l => `    ${l}`.trimEnd()),
    ...facts.flatMap(f => fill(f, 106)).map(f => `    ${f}`),
  )
  if (entry.example !== null) lines.push('    Example:', ...entry.example.split('\n').map(l => `        ${l}`))
  return [...lines, `Default: ${defaultOf(name, entry)}`]
}

const factsOf = (entry: AnyDirective): string[] => {
  const facts: string[] = []
  if (entry.kind.limits !== '') facts.push(`Limits: ${entry.kind.limits}.`)
  if (entry.aliases.length > 0) facts.push(`Old names: ${entry.aliases.join(', ')}.`)
  if (entry.status === 'works' && entry.reload !== 'at once')
    facts.push(`A change counts for ${entry.reload === 'restart' ? 'the next start' : 'new connections'}.`)
  if (entry.status === 'accepted') facts.push('Accepted, no effect needed.')
  if (entry.status === 'later') facts.push('Read and checked, without effect yet.')
  return facts
}

const namesOf = (status: Retired['status']): string[] =>
  retiredOf(status).flatMap(([name, entry]) => [name, ...entry.aliases])

const adviceOf = (status: Retired['status']): string[] =>
  retiredOf(status).map(([name, entry]) => `  ${[name, ...entry.aliases].join(', ')}: ${entry.doc}`)

// --- docs/reference/conf.md ---

export const referencePage = (): string => {
  const lines = [
    '# The conf',
    '',
    '<!-- Generated from the table of directives by src/conf/document.ts; edit the table. -->',
    '',
    ...wrapped(grammar, 110),
  ]
  lines.push('', '## Contents', '')
  for (const title of Object.keys(sections)) lines.push(`- [${title}](#${anchor(title)})`)
  lines.push('- [ACL types](#acl-types)', '- [No longer needed](#no-longer-needed)')
  for (const [title, section] of Object.entries(sections)) {
    lines.push('', `## ${title}`)
    for (const [name, entry] of entries(section)) lines.push('', ...pageEntry(name, entry))
  }
  lines.push('', '## ACL types', '', '| type | what it looks at | options |', '| --- | --- | --- |')
  for (const [name, type] of Object.entries(aclTypes)) {
    if (type.retired) continue
    const facts = [
      ...type.flags,
      ...(type.argument ? [`first word: ${type.argument}`] : []),
      ...(type.slow ? ['slow'] : []),
      ...(type.alias ? [`old name ${type.alias}`] : []),
    ]
    lines.push(`| \`${name}\` | ${cell(type.doc)} | ${cell(facts.join(', '))} |`)
  }
  lines.push('', 'Built in:', '', ...builtInAcls.map(a => `- \`acl ${a.name} ${a.type} ${a.values.join(' ')}\``))
  lines.push(
    '',
    '## No longer needed',
    '',
    `Accepted without a word: ${namesOf('silent')
      .map(n => `\`${n}\``)
      .join(', ')}.`,
  )
  lines.push(
    '',
    ...retiredTable('Accepted with a warning', 'do instead', 'warned'),
    '',
    ...retiredTable('Read as their modern form', 'read as', 'translated'),
  )
  lines.push(
    '',
    ...retiredTable('Refused, since leaving them out would change what the conf means', 'do instead', 'rejected'),
  )
  return `${lines.join('\n')}\n`
}

const anchor = (title: string): string => title.toLowerCase().replaceAll(' ', '-')

const cell = (text: string): string => text.replaceAll('|', '\\|')

const pageEntry = (name: string, entry: AnyDirective): string[] => {
  const lines = [`### ${name}`, '', '```', `${name} ${entry.kind.grammar}`, '```', '', ...wrapped(entry.doc, 110), '']
  lines.push(`- default: ${entry.default === null ? 'none' : `\`${entry.default}\``}`)
  if (entry.kind.limits !== '') lines.push(`- limits: ${entry.kind.limits}`)
  if (entry.aliases.length > 0) lines.push(`- old names: ${entry.aliases.map(a => `\`${a}\``).join(', ')}`)
  lines.push(`- status: ${words[entry.status]}`)
  if (entry.status === 'works')
    lines.push(
      `- a change counts: ${entry.reload === 'restart' ? 'after a restart' : entry.reload === 'at once' ? 'at once' : 'for new connections'}`,
    )
  return entry.example === null ? lines : [...lines, '', '```', ...entry.example.split('\n'), '```']
}

const retiredTable = (title: string, column: string, status: Retired['status']): string[] => [
  `${title}:`,
  '',
  `| directive | ${column} |`,
  '| --- | --- |',
  ...retiredOf(status).map(
    ([name, entry]) => `| ${[name, ...entry.aliases].map(n => `\`${n}\``).join(', ')} | ${cell(entry.doc)} |`,
  ),
]

/** The generated files, by path from the root of the repository. */
export const generatedFiles = (): Readonly<Record<string, string>> => ({
  'conf/glassquid.conf.documented': documentedConf(),
  'docs/reference/conf.md': referencePage(),
})

if (import.meta.main) {
  const root = fileURLToPath(new URL('../../', import.meta.url))
  for (const [path, text] of Object.entries(generatedFiles())) writeFileSync(root + path, text)
}
