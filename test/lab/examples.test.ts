// The examples of conf/examples as people run them, `glassquid lab EXAMPLE --check`: each on the lab's gateway with its
// servers and clients, judged at client, server and in the proxy's log.

import { spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parseConf } from '../../src/conf/index.ts'
import { examples } from '../../src/intercept/index.ts'
import type { AccessRecord } from '../../src/intercept/lab/access-record.ts'
import { judgeLog, judgeSessions } from '../../src/intercept/lab/run-example.ts'
import { noLabWith } from '../support/net-lab.ts'

const why = noLabWith('nft')
const home = new URL('../../', import.meta.url).pathname
const folder = `${home}conf/examples/`

const lab = (...args: readonly string[]): Promise<{ readonly code: number | null; readonly said: string }> =>
  new Promise(resolve => {
    const child = spawn(`${home}bin/glassquid`, ['lab', ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    let said = ''
    child.stdout.setEncoding('utf8').on('data', part => (said += part))
    child.stderr.setEncoding('utf8').on('data', part => (said += part))
    child.once('close', code => resolve({ code, said }))
  })

it('every file is an example, and every example a file that is read without a remark', () => {
  expect(readdirSync(folder).sort()).toEqual(examples.map(({ name }) => `${name}.conf`).sort())
  for (const { name } of examples) {
    const file = `${folder}${name}.conf`
    const { diagnostics } = parseConf({ file, text: readFileSync(file, 'utf8') }, { readFile: () => '', glob: () => [], env: {} })
    expect(diagnostics.filter(({ severity }) => severity !== 'note'), name).toEqual([])
    expect(readFileSync(file, 'utf8')).toContain(`glassquid lab ${name}`)
  }
})

it('the log is judged as a whole: what is missing, what is otherwise and what is too much is told', () => {
  const record = { client: 'c', destination: 'd', destinationPort: 1, taken: 'tproxy' } as AccessRecord // the fields that are looked at
  const play = { what: 'it', logged: { destination: 'd', taken: 'tproxy' } }
  expect(judgeLog([record], [play, { what: 'past it', logged: null }])).toEqual([])
  expect(judgeLog([], [play])).toEqual([expect.stringContaining('it: the proxy logged nothing like')])
  expect(judgeLog([record, record], [play])).toEqual([expect.stringContaining('what nobody asked')])
  expect(judgeLog([{ ...record, taken: 'direct' }], [play])).toHaveLength(2)
})

it('so is the session log, for who was turned away', () => {
  const line = { service: 'nothing', verdict: 'DENIED_BY_POLICY', destination: 'd:1', clientZone: null }
  const play = { what: 'it', session: { service: 'nothing', destination: 'd:1' } }
  expect(judgeSessions([line, { ...line, verdict: 'ACCEPTED' }], [play])).toEqual([])
  expect(judgeSessions([], [play])).toEqual([expect.stringContaining("it: no session of the proxy's is like")])
  expect(judgeSessions([line, line], [play])).toEqual([expect.stringContaining('a session was not accepted')])
})

describe.skipIf(why !== null)(`glassquid lab EXAMPLE --check ${why ?? ''}`, () => {
  it.each(examples.map(({ name, plays }) => [name, plays.length] as const))('%s: %i rows as they should be', { timeout: 60_000 }, async (name, rows) => {
    const { code, said } = await lab(name, '--check')
    expect(said).toContain(`${rows} rows, all as they should be at client, proxy and server.`)
    expect(said).not.toContain('✗')
    expect(code).toBe(0)
  })

  it('names the examples there are', async () => {
    const { code, said } = await lab('nothing')
    expect(code).toBe(1)
    for (const { name } of examples) expect(said).toContain(name)
  })
})
