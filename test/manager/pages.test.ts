// What the registry promises to rooms, and what cachemgr_passwd makes of a page: the table of Squid's four words.

import { expect, it } from 'vitest'
import { Manager, mayRead, menuPage, type Page, protectionOf, refusedPage, samePassword } from '../../src/manager/index.ts'

const page = (name: string, protection: 'public' | 'protected' = 'public'): Page<{ readonly n: number }> => ({
  name,
  doc: `about ${name}`,
  protection,
  effect: 'shows',
  answer: args => (args.has('no') ? refusedPage(400, 'no is not an argument') : { ok: true, value: { n: Number(args.get('n') ?? 1) } }),
  text: value => `n = ${value.n}\n`,
})

const plain = { name: 'info', protection: 'public' } as const
const deed = { name: 'shutdown', protection: 'protected' } as const
const line = (password: string, ...actions: string[]) => ({ password, actions })

it.each([
  ['a page without a line', plain, [], 'public'],
  ['a deed without a line', deed, [], 'hidden'],
  ['a line of its own', plain, [line('secret', 'info')], 'protected'],
  ['a line for others', plain, [line('secret', 'menu')], 'public'],
  ['a line for all', deed, [line('secret', 'all')], 'protected'],
  ['none', deed, [line('none', 'shutdown')], 'public'],
  ['disable', plain, [line('disable', 'all')], 'disabled'],
  ['the first of two lines', plain, [line('none', 'info'), line('disable', 'all')], 'public'],
] as const)('%s decides who sees a page', (_what, asked, lines, expected) => {
  expect(protectionOf(asked, lines)).toBe(expected)
  expect(mayRead(asked, lines, null)).toBe(expected === 'public')
  expect(mayRead(asked, lines, 'secret')).toBe(expected === 'public' || expected === 'protected')
  expect(mayRead(asked, lines, 'Secret')).toBe(expected === 'public')
})

it('the words none and disable are no passwords', () => {
  expect(mayRead(plain, [line('disable', 'info')], 'disable')).toBe(false)
  expect(samePassword('a', 'a')).toBe(true)
  expect(samePassword('a', 'ab')).toBe(false)
})

it('a page is written twice from one snapshot', async () => {
  const manager = new Manager()
  let taken = 0
  manager.register({ ...page('once'), answer: () => ({ ok: true, value: { n: ++taken } }) })
  const rendered = await manager.find('once')?.render(new URLSearchParams())
  if (rendered?.ok !== true) throw new Error('it was refused')
  expect([rendered.text(), rendered.json(), rendered.text()]).toEqual(['n = 1\n', '{"n":1}\n', 'n = 1\n'])
})

it('arguments reach the page, and a refusal reaches who asked', async () => {
  const manager = new Manager()
  manager.register(page('told'))
  const told = await manager.find('told')?.render(new URLSearchParams('n=7'))
  expect(told?.ok === true && told.text()).toBe('n = 7\n')
  expect(await manager.find('told')?.render(new URLSearchParams('no=1'))).toEqual({ ok: false, status: 400, reason: 'no is not an argument' })
})

it('the menu lists what is there when it is asked for, with the password lines of that moment', async () => {
  const manager = new Manager()
  let lines: { password: string; actions: string[] }[] = []
  manager.register(menuPage(manager, () => lines))
  manager.register(page('zebra'))
  manager.register(page('ape', 'protected'))
  const menu = async () => {
    const rendered = await manager.find('menu')?.render(new URLSearchParams())
    return rendered?.ok === true ? rendered.text().split('\n').map(text => text.split('\t').map(cell => cell.trim())) : []
  }
  expect(await menu()).toEqual([['ape', 'about ape', 'hidden'], ['menu', 'This menu', 'public'], ['zebra', 'about zebra', 'public'], ['']])
  lines = [line('secret', 'ape')]
  expect((await menu())[0]?.[2]).toBe('protected')
})

it('a page whose name could not be asked for is a bug', () => {
  expect(() => new Manager().register(page('a/b'))).toThrow(/is named 'a\/b'/)
})
