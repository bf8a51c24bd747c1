// Long lists are let go once they are compiled; what is left still says which values they were.

import { expect, test } from 'vitest'
import { compileAcls } from '../../src/acl/index.ts'
import { type Config, confText, type ConfWorld, forgetLists, parseConf } from '../../src/conf/index.ts'

const names = (count: number, more = ''): string => Array.from({ length: count }, (_, i) => `host${i}.test\n`).join('') + more

const read = (list: string): Config => {
  const world: ConfWorld = { readFile: () => list, glob: () => [], env: {}, portZero: true }
  const text = 'http_port 127.0.0.1:3128\nacl set dstdomain own.test "/lists/a" "/lists/b"\nhttp_access deny set\nhttp_access deny all\n'
  const { config, diagnostics } = parseConf({ file: 'x.conf', text }, world)
  if (config === null) throw new Error(diagnostics[0]?.message)
  return config
}

const written = (config: Config): string => /^acl set .*$/m.exec(confText(config))?.[0] ?? ''

test('a short list is kept, and written value by value', () => {
  const config = read(names(3))
  expect(forgetLists(config.acl)).toBe(false)
  expect(written(config)).toBe('acl set dstdomain own.test host0.test host1.test host2.test host0.test host1.test host2.test')
})

test('a long one is written as its files, which read back; other values are another line', () => {
  const config = read(names(6000))
  expect(forgetLists(config.acl)).toBe(true)
  expect(config.acl.find(acl => acl.name === 'set')?.values).toHaveLength(1)
  expect(written(config)).toMatch(/^acl set dstdomain own\.test "\/lists\/a" "\/lists\/b" # 6000 values, [0-9a-f]{16}; 6000 values, [0-9a-f]{16}$/)
  const [same, other] = [read(names(6000)), read(names(6000, 'one-more.test\n'))]
  for (const next of [same, other]) forgetLists(next.acl)
  expect(written(same)).toBe(written(config))
  expect(written(other)).not.toBe(written(config))
})

test('what has been let go is not compiled again as if it were empty', () => {
  const config = read(names(6000))
  expect(compileAcls(config.acl).problems.filter(problem => problem.severity !== 'warning')).toEqual([])
  forgetLists(config.acl)
  expect(() => compileAcls(config.acl)).toThrow(/compiled while/)
})
