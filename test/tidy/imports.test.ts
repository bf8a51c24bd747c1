// Run-time imports only go down, through doors, and each package has one importer: the tables of docs/architecture.md,
// held against what the sources load. Nobody repairs cycles later, so they are not let in.

import { existsSync, readdirSync } from 'node:fs'
import { join, posix } from 'node:path'
import { describe, expect, it } from 'vitest'
import { doorOf, home, loadedBy, readText, roomOf, sourceFiles, tableUnder } from './sources.ts'

const page = readText('docs/architecture.md')
const words = (cell = ''): string[] => (cell === 'nothing' ? [] : cell.split(', '))
const allowed = new Map(tableUnder(page, 'Rooms').map(([room = '', below]) => [room, words(below)]))
const importers = new Map(tableUnder(page, 'Packages').map(([name = '', importer = '']) => [name, importer]))

const mayImport = (room: string, other: string): boolean => {
  const below = allowed.get(room) ?? []
  return other !== 'cli' && (below.includes('everything') || below.includes(other))
}

/** Null, or what is wrong with that edge. */
const judge = (file: string, specifier: string): string | null => {
  if (specifier.startsWith('node:')) return null
  if (!specifier.startsWith('.')) {
    const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')
    const importer = importers.get(name)
    if (importer === undefined) return `${file} imports ${name}, which has no importer in the table`
    return file.startsWith(`${importer}/`) || file === `${importer}.ts` ? null : `${file} imports ${name}; only ${importer} may`
  }
  const target = posix.join(posix.dirname(file), specifier)
  if (target === 'package.json') return null
  const from = roomOf(file)
  const to = roomOf(target)
  if (from === to) return null
  if (!allowed.has(to)) return `${file} imports ${target}, which lies in no room`
  if (!mayImport(from, to)) return `${file} imports ${target}: ${from} may not import ${to} at run time`
  return target === doorOf(to) ? null : `${file} imports ${target} past the door ${doorOf(to)}`
}

describe('the rooms', () => {
  it('import at run time only what the table allows, and only through doors', () => {
    const wrong = sourceFiles().flatMap(file => loadedBy(readText(file)).flatMap(specifier => judge(file, specifier) ?? []))
    expect(wrong).toEqual([])
  })

  it('are all in the table', () => {
    const present = readdirSync(join(home, 'src'), { withFileTypes: true }).filter(entry => entry.isDirectory())
    expect([...present.map(entry => entry.name), 'native', 'comm'].filter(room => !allowed.has(room))).toEqual([])
  })

  it('form no cycle in the table itself', () => {
    const order = [...allowed.keys()]
    for (const [room, below] of allowed) {
      for (const other of below.filter(word => word !== 'everything')) {
        expect(order.indexOf(other), `${room} stands above ${other}`).toBeLessThan(order.indexOf(room))
        expect(order, `${room} names ${other}`).toContain(other)
      }
    }
  })

  it('have a door that opens with a card', () => {
    for (const room of allowed.keys()) {
      // cli is the top: it has a main instead of a door
      if (room === 'cli' || !sourceFiles().some(file => roomOf(file) === room)) continue
      expect(existsSync(join(home, doorOf(room))), `${room} has no ${doorOf(room)}`).toBe(true)
      const comment = /^(?:\/\/.*\n)+/.exec(readText(doorOf(room)))?.[0] ?? ''
      for (const line of [`// ${room}: `, '// holds ', '// does not hold ', '// called by ', '// calls ']) {
        expect(comment, `the card of ${room}`).toContain(line)
      }
    }
  })
})

describe('the packages', () => {
  it('we depend on are all in the table, and no others', () => {
    const dependencies: unknown = JSON.parse(readText('package.json')).dependencies
    expect([...importers.keys()].sort()).toEqual(Object.keys(Object(dependencies)).sort())
  })
})

describe('the judge', () => {
  it.each([
    ['src/http/head.ts', '../base/index.ts', null],
    ['src/http/head.ts', './fields.ts', null],
    ['src/cli/main.ts', '../cache/index.ts', null],
    ['comm/engine/native.ts', '../../native/index.ts', null],
    ['src/http/head.ts', 'node:fs', null],
    ['src/chainer/origin-pool/pool.ts', 'undici', null],
    ['src/http/head.ts', '../base/address.ts', 'past the door'],
    ['src/base/clock.ts', '../http/index.ts', 'base may not import http'],
    ['src/router/direct.ts', '../../comm/index.ts', 'router may not import comm'],
    ['src/cache/cache.ts', '../cli/main.ts', 'may not import cli'],
    ['src/http/head.ts', 'undici', 'only src/chainer/origin-pool may'],
    ['src/http/head.ts', '@scope/name/part', 'imports @scope/name, which has no importer'],
    ['src/http/head.ts', '../../test/support/x.ts', 'lies in no room'],
  ])('on %s importing %s', (file, specifier, complaint) => {
    if (complaint === null) expect(judge(file, specifier)).toBeNull()
    else expect(judge(file, specifier)).toContain(complaint)
  })

  it('sees what is loaded, and not what is only a type or a comment', () => {
    const source = `
      import type { A } from './type-only.ts'
      import { type B } from './types-in-braces.ts'
      import { c, type D } from './value.ts'
      import './effect.ts'
      import * as e from "./star.ts"
      export * from './again.ts'
      export type * from './types-again.ts'
      export { f } from
        './far.ts'
      // import { g } from './comment.ts'
      /* import { h } from './block.ts' */
      const late = () => import('./late.ts')
      const type: A | B | D = c(e, late)`
    expect(loadedBy(source).sort()).toEqual([
      './again.ts',
      './effect.ts',
      './far.ts',
      './late.ts',
      './star.ts',
      // verbatimModuleSyntax: the braces are emptied, the module is still loaded
      './types-in-braces.ts',
      './value.ts',
    ])
  })
})
