import { confText, type Diagnostic, type Location, parseConf } from '../../src/conf/index.ts'

// A .conftest file holds cases:
//
//   ===== what the case shows
//   the conf; `@@ NAME` begins a further file; ␍ stands for CR, ␉ for a tab, ␠ for a blank at the end of a line
//   -----
//   severity [file:]line:column [< including file:line] message | hint
//   = name value                  a line of the conf as it holds
//   null                          there is no Config
//
// What the linter says of a missing http_port or http_access is left out, unless the title begins with `lint:`.

export interface Case {
  readonly title: string
  readonly files: ReadonlyMap<string, string>
  readonly expected: readonly string[]
}

export const main = 'main.conf'

export const casesOf = (text: string): Case[] =>
  text
    .split(/^===== /m)
    .slice(1)
    .map(block => {
      const end = block.indexOf('\n')
      const [conf = '', expected = ''] = block.slice(end + 1).split(/^-----\n/m)
      return {
        title: block.slice(0, end),
        files: filesOf(conf),
        expected: expected.split('\n').filter(l => l !== ''),
      }
    })

const filesOf = (text: string): Map<string, string> => {
  const files = new Map<string, string>()
  const parts = text.split(/^@@ (.*)\n/m)
  files.set(main, letters(parts[0] ?? ''))
  for (let i = 1; i < parts.length; i += 2) files.set(parts[i] ?? '', letters(parts[i + 1] ?? ''))
  return files
}

const letters = (text: string): string =>
  text.replaceAll('␍', '\r').replaceAll('␉', '\t').replaceAll('␠', ' ').replaceAll('␂', '\ufeff')

export const parseCase = (one: Case) =>
  parseConf(
    { file: main },
    {
      readFile: path => {
        const text = one.files.get(path)
        if (text === undefined) throw new Error(`ENOENT: no such file or directory, open '${path}'`)
        return text
      },
      glob: pattern => {
        const regex = new RegExp(`^${pattern.replaceAll('.', '\\.').replaceAll('*', '[^/]*')}$`)
        return [...one.files.keys()].reverse().filter(f => regex.test(f))
      },
      env: { NAME: 'from-env', EMPTY: '', BREAK: 'a\nb' },
      processNumber: 2,
    },
  )

/** What the case would have to expect. `values`: names whose lines are wanted. */
export const outcomeOf = (one: Case): string[] => {
  const { config, diagnostics } = parseCase(one)
  const lines = diagnostics.filter(d => one.title.startsWith('lint:') || !ofLinter(d)).map(diagnosticLine)
  const wanted = new Set(one.expected.filter(l => l.startsWith('= ')).map(l => l.split(' ')[1]))
  if (config === null) return [...lines, 'null']
  return [
    ...lines,
    ...confText(config)
      .split('\n')
      .filter(l => wanted.has(l.split(' ')[0]))
      .map(l => `= ${l}`),
  ]
}

const ofLinter = (d: Diagnostic): boolean =>
  /^(No HTTP|no http_access|ACLs that no line uses|everybody who can)/.test(d.message)

const diagnosticLine = (d: Diagnostic): string =>
  `${d.severity} ${place(d.at)}${chain(d.at.from)} ${d.message}${d.hint === '' ? '' : ` | ${d.hint}`}`

const place = (at: Location): string => `${at.file === main ? '' : `${at.file}:`}${at.line}:${at.column}`

const chain = (from: Location | null): string =>
  from === null ? '' : ` < ${from.file}:${from.line}${chain(from.from)}`
