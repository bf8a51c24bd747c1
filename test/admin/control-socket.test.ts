// The control socket: a file only its owner can open, that replaces what a dead process left and nothing else, and
// answers without a password.

import { mkdtempSync, rmSync, statSync, writeFileSync, existsSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type AdminRequest, answerPage, askControlSocket, type ControlSocket, openControlSocket } from '../../src/admin/index.ts'
import { Manager, type Page, refusedPage } from '../../src/manager/index.ts'

const answerFrom = (manager: Manager) => (request: AdminRequest) => answerPage({ manager, passwords: null }, request)

let folder = ''
let path = ''
const open: ControlSocket[] = []
const failures: string[] = []

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'control-'))
  path = join(folder, 'gq.sock')
})

afterEach(async () => {
  for (const socket of open.splice(0)) await socket.close()
  rmSync(folder, { recursive: true, force: true })
  expect(failures.splice(0)).toEqual([])
})

const echo = (effect: Page<string>['effect'], protection: Page<string>['protection'] = 'protected'): Page<string> => ({
  name: effect === 'shows' ? 'shown' : 'done',
  doc: '',
  protection,
  effect,
  answer: args => (args.get('say') === '' ? refusedPage(409, 'nothing to say') : { ok: true, value: args.getAll('say').join('|') }),
  text: said => `${said}\n`,
})

const start = async (): Promise<ControlSocket> => {
  const manager = new Manager()
  manager.register(echo('shows'))
  manager.register(echo('changes'))
  manager.register({ ...echo('shows'), name: 'broken', answer: () => { throw new Error('broken page') } })
  const opened = await openControlSocket({ path, answer: answerFrom(manager), failed: (error, where) => failures.push(`${where}: ${String(error)}`) })
  if (!opened.ok) throw new Error(opened.reason)
  open.push(opened.socket)
  return opened.socket
}

const ask = async (page: string, args = '', method: 'GET' | 'POST' = 'GET') => {
  const answer = await askControlSocket(path, page, new URLSearchParams(args), method, 5000)
  return answer.ok ? [answer.status, answer.text] : answer
}

it('answers pages that need a password elsewhere, by GET and POST', async () => {
  await start()
  expect(await ask('shown', 'say=a&say=b%20c')).toEqual([200, 'a|b c\n'])
  expect(await ask('done', 'say=x', 'POST')).toEqual([200, 'x\n'])
  expect(await ask('shown', 'say=a&format=json')).toEqual([200, '"a"\n'])
})

it('refuses with the reason: no such page, the wrong method, what the page says', async () => {
  await start()
  expect(await ask('nothing')).toEqual([404, "there is no page 'nothing'; 'menu' lists those there are\n"])
  expect(await ask('done')).toEqual([405, "'done' is asked for with POST\n"])
  expect(await ask('shown', 'say=')).toEqual([409, 'nothing to say\n'])
  expect(await ask('shown', 'say=&format=json')).toEqual([409, '{"error":"nothing to say"}\n'])
})

it('a page that throws is told of, and the socket goes on', async () => {
  await start()
  expect(await ask('broken')).toEqual([500, 'a fault of ours; cache.log has it\n'])
  expect(failures.splice(0)).toEqual(['control socket /squid-internal-mgr/broken: Error: broken page'])
  expect(await ask('shown', 'say=on')).toEqual([200, 'on\n'])
})

it('is for its owner only, and is gone afterwards', async () => {
  const socket = await start()
  const mode = statSync(path).mode
  expect((mode & 0o777).toString(8)).toBe('600')
  open.splice(0)
  await socket.close()
  expect(existsSync(path)).toBe(false)
  expect(await ask('shown')).toMatchObject({ ok: false, absent: true })
})

it('a form beyond its limit is not read to its end', async () => {
  await start()
  const answer = await ask('done', `say=${'x'.repeat(1100 * 1024)}`, 'POST')
  expect(answer).toEqual([413, 'more than 1048576 bytes\n'])
})

it('replaces what a dead process has left', async () => {
  const stale: Server = createServer()
  await new Promise<void>(resolve => stale.listen(`${path}.old`, resolve))
  // a link, since a server that closes takes its file along
  const { linkSync } = await import('node:fs')
  linkSync(`${path}.old`, path)
  await new Promise(resolve => stale.close(resolve))
  expect(statSync(path).isSocket()).toBe(true)
  await start()
  expect(await ask('shown', 'say=new')).toEqual([200, 'new\n'])
})

it('leaves a living one alone, and what is no socket', async () => {
  await start()
  const manager = new Manager()
  const failed = () => {}
  expect(await openControlSocket({ path, answer: answerFrom(manager), failed })).toEqual({ ok: false, reason: `${path}: another process listens there` })
  const file = join(folder, 'file')
  writeFileSync(file, 'mine')
  expect(await openControlSocket({ path: file, answer: answerFrom(manager), failed })).toEqual({ ok: false, reason: `${file} is there, and is no socket` })
  const long = join(folder, 'x'.repeat(120))
  expect(await openControlSocket({ path: long, answer: answerFrom(manager), failed })).toMatchObject({ ok: false })
})
