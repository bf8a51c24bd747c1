// What cache.log tells is what debug_options says, unless -X or SIGUSR2 has asked for everything; a reload forgets neither.

import { expect, it } from 'vitest'
import { configureLog, openLog, toggleDebug } from '../../src/cli/running.ts'
import { type Config, parseConf } from '../../src/conf/index.ts'

const confOf = (...lines: readonly string[]): Config => {
  const text = ['http_port 3128', 'http_access deny all', 'cache_log none', ...lines, ''].join('\n')
  const { config, diagnostics } = parseConf({ file: 'test.conf', text }, { readFile: () => '', glob: () => [], env: {} })
  if (config === null) throw new Error(JSON.stringify(diagnostics))
  return config
}

const common = { confFile: 'test.conf', confGiven: true, debugLevel: null, debugAll: false, ignored: [] }

it('SIGUSR2 turns everything on until it comes again, reloads or not', () => {
  const log = openLog(confOf(), common, '')
  const levels = () => [log.verbose, log.wants('acl', 9), log.wants('acl', 3)]
  expect(levels()).toEqual([false, false, false])
  toggleDebug(confOf(), log, null)
  expect(levels()).toEqual([true, true, true])
  configureLog(log, confOf('debug_options ALL,1 28,3'))
  expect(levels()).toEqual([true, true, true])
  toggleDebug(confOf('debug_options ALL,1 28,3'), log, null)
  expect(levels()).toEqual([true, false, true])
})

it('-X has it on from the start', () => {
  const log = openLog(confOf(), { ...common, debugAll: true }, '')
  expect(log.wants('client', 9)).toBe(true)
  configureLog(log, confOf())
  expect(log.wants('client', 9)).toBe(true)
  toggleDebug(confOf(), log, null)
  expect(log.wants('client', 2)).toBe(false)
})
