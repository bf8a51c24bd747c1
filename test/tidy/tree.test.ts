// The tree as others will clone it: it speaks of itself alone (no paths of a developer's machine, no addresses of the
// registry it was installed from), its scripts can be run, and its sources have the types they claim.

import { spawnSync } from 'node:child_process'
import { accessSync, constants, readdirSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { home, readText } from './sources.ts'

/** Everything git knows, or, outside a clone, everything there is. */
const files = (): string[] => {
  const git = spawnSync('git', ['-C', home, 'ls-files', '-z'], { encoding: 'utf8' })
  if (git.status === 0 && git.stdout !== '') return git.stdout.split('\0').filter(name => name !== '')
  return readdirSync(home, { recursive: true, encoding: 'utf8', withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name).slice(home.length))
    .filter(name => !/^(?:node_modules|\.git|dist|\.tool)\//.test(name))
}

/** Top folders every Unix machine has; a checkout under any other one betrays itself by that folder's name. */
const usual = ['bin', 'build', 'dev', 'etc', 'home', 'lib', 'media', 'mnt', 'opt', 'proc', 'root', 'run', 'sbin', 'srv', 'sys', 'tmp', 'usr', 'var']

const machinePatterns = (): RegExp[] => {
  const [, top = ''] = home.split('/')
  const escaped = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
  return [
    /(?:^|[^\w.])\/(?:home|Users)\/(?!proxy\b|user\b|USER\b)\w+\//,
    /registry\.npmjs|"resolved": "http/,
    ...(homedir().length > '/root'.length ? [new RegExp(`${escaped(homedir())}/`)] : []),
    ...(top === '' || usual.includes(top) ? [] : [new RegExp(`(?:^|[^\\w.])/${escaped(top)}/[a-z.]`)]),
  ]
}

it('names no paths of this machine and no registry', () => {
  const patterns = machinePatterns()
  const hits: string[] = []
  for (const name of files()) {
    if (name === 'test/tidy/tree.test.ts') continue
    let text: string
    try {
      text = readFileSync(join(home, name), 'latin1')
    } catch {
      continue // deleted and not yet committed
    }
    if (text.includes('\0')) continue
    for (const [at, line] of text.split('\n').entries()) {
      if (patterns.some(pattern => pattern.test(line))) hits.push(`${name}:${at + 1}: ${line.trim().slice(0, 120)}`)
    }
  }
  expect(hits).toEqual([])
})

it('has scripts that can be run and that sh understands', () => {
  for (const script of [...readdirSync(join(home, 'bin')).map(name => `bin/${name}`), '.ci/run']) {
    accessSync(join(home, script), constants.X_OK)
    if (!readText(script).startsWith('#!/bin/sh')) continue
    expect(spawnSync('sh', ['-n', join(home, script)], { encoding: 'utf8' }).stderr, script).toBe('')
  }
})

it('has the types it claims', { timeout: 120_000 }, () => {
  const checked = spawnSync(process.execPath, ['node_modules/typescript/bin/tsc', '--noEmit', '--pretty', 'false'], { cwd: home, encoding: 'utf8' })
  expect(checked.stdout.split('\n').filter(line => line !== '')).toEqual([])
})
