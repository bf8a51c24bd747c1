import { readdirSync, readFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { join, posix } from 'node:path'

// The sources as the tidy tests see them: which files there are, which room each lies in, and what each really loads
// when it runs (types are gone by then).

export const home = new URL('../../', import.meta.url).pathname

export const readText = (path: string): string => readFileSync(join(home, path), 'utf8')

/** Paths relative to the top, of every program file that is ours and not a test. */
export const sourceFiles = (): string[] =>
  ['native', 'comm', 'src'].flatMap(folder =>
    readdirSync(join(home, folder), { recursive: true, encoding: 'utf8' })
      .filter(name => name.endsWith('.ts') && !name.endsWith('.d.ts'))
      .map(name => posix.join(folder, name)),
  )

/** `src/cache/store/memory.ts` lies in cache, `comm/engine/node.ts` in comm. */
export const roomOf = (path: string): string => {
  const [top = '', next = ''] = path.split('/')
  return top === 'src' ? next : top
}

export const doorOf = (room: string): string => (room === 'native' || room === 'comm' ? `${room}/index.ts` : `src/${room}/index.ts`)

/** What a module loads: specifiers of its imports and re-exports that are left when the types are stripped. */
export const loadedBy = (source: string): string[] => {
  const code = stripTypeScriptTypes(source)
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/^\s*\/\/.*$/gm, '')
  const loads: string[] = []
  for (const pattern of [
    /^\s*(?:import|export)\b[^'"`;()]*?\bfrom\s*['"]([^'"]+)['"]/gm,
    /^\s*import\s*['"]([^'"]+)['"]/gm,
    /\bimport\(\s*['"]([^'"]+)['"]/g,
    /\brequire\(\s*['"]([^'"]+)['"]/g,
  ]) {
    for (const match of code.matchAll(pattern)) if (match[1] !== undefined) loads.push(match[1])
  }
  return loads
}

/** The cells of the Markdown table under that heading, without its first two lines. */
export const tableUnder = (page: string, heading: string): string[][] => {
  const section = page.split(/^## /m).find(text => text.startsWith(`${heading}\n`)) ?? ''
  return section
    .split('\n')
    .filter(line => line.startsWith('|'))
    .slice(2)
    .map(line =>
      line
        .split('|')
        .slice(1, -1)
        .map(cell => cell.trim()),
    )
}
