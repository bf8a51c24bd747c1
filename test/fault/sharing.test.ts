import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, readdirSync, rmSync, statSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, describe, expect, test } from 'vitest'
import { native } from '../../native/index.ts'

// Contract: several processes use one cache_dir at a time. What one has acknowledged (an invalidation, a newer response,
// a 304's fields) no other contradicts afterwards, from wherever it answers; the quota is one for all; a process that is
// killed leaves nothing behind. Seen with real processes, which are told what to do next only when the others are done.

const program = new URL('sharing-program.ts', import.meta.url).pathname
const folders: string[] = []
const users: User[] = []

afterEach(async () => {
  for (const user of users.splice(0)) await user.kill()
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

const newFolder = (): string => {
  const folder = mkdtempSync(join(tmpdir(), 'glassquid-shared-'))
  folders.push(folder)
  return folder
}

class User {
  readonly child: ChildProcess
  readonly #lines: Interface
  readonly #answers: AsyncIterator<string>
  readonly notices: string[] = []

  constructor(folder: string, size: number, ask: boolean) {
    this.child = spawn(process.execPath, [program, folder, String(size), ...(ask ? ['ask'] : [])], { stdio: ['pipe', 'pipe', 'inherit'] })
    if (this.child.stdout === null) throw new Error('no pipe')
    this.#lines = createInterface({ input: this.child.stdout })
    this.#answers = this.#lines[Symbol.asyncIterator]()
    users.push(this)
  }

  async heard(): Promise<string> {
    for (;;) {
      const { value, done } = await this.#answers.next()
      if (done === true) return 'ended'
      if (!value.startsWith('notice ')) return value
      this.notices.push(value.slice(7))
    }
  }

  do(...words: (string | number)[]): Promise<string> {
    this.child.stdin?.write(`${words.join(' ')}\n`)
    return this.heard()
  }

  async sums(): Promise<Record<string, number>> {
    return JSON.parse(await this.do('sums')) as Record<string, number> // what the program writes
  }

  async kill(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    const exited = once(this.child, 'exit')
    this.child.kill('SIGKILL')
    await exited
  }
}

const open = async (count: number, { folder = newFolder(), size = 50_000_000, ask = false } = {}): Promise<User[]> => {
  const all: User[] = []
  for (let i = 0; i < count; i++) {
    const user = new User(folder, size, ask)
    expect(await user.heard()).toBe('ready')
    all.push(user)
  }
  return all
}

/** `count` of them; the type knows that they are there. */
const two = async (options: Parameters<typeof open>[1] = {}): Promise<[User, User]> => {
  const [a, b] = await open(2, options)
  if (a === undefined || b === undefined) throw new Error('not started')
  return [a, b]
}

const ways: [string, boolean][] = [...(native.present ? [['common memory', false] as [string, boolean]] : []), ['asking the index', true]]

describe.each(ways)('with %s', (_, ask) => {
  test('what one removes, replaces or freshens is not served by another, from memory, file or index', async () => {
    const [a, b] = await two({ ask })
    for (const size of [100, 50_000, 300_000]) {
      const name = `of-${size}`
      expect(await a.do('put', name, 'one', size)).toBe('stored')
      expect(await b.do('get', name)).toBe('one')
      expect(await b.do('hot', name)).toBe(String(size < 100_000))
      // replaced
      expect(await a.do('put', name, 'two', size)).toBe('stored')
      expect(await b.do('get', name)).toBe('two')
      // and the other way round
      expect(await b.do('put', name, 'three', size)).toBe('stored')
      expect(await a.do('get', name)).toBe('three')
      // freshened by a 304
      expect(await b.do('get', name)).toBe('three')
      expect(await a.do('replace', name, 'f1')).toBe('true')
      expect(await b.do('fresh', name)).toBe('f1')
      // invalidated
      expect(await b.do('invalidate', name)).toBe('1')
      expect(await a.do('get', name)).toBe('nothing')
    }
    // what is on no disk is known to others all the same
    await a.do('put', 'one', 'v', 100)
    await b.do('get', 'one')
    await a.do('clear')
    expect(await b.do('get', 'one')).toBe('nothing')
    expect(await b.do('outdated')).toContain('all')
  })

  test('what one began to write before another invalidated its key is never found', async () => {
    const [a, b] = await two({ ask })
    for (const size of [100, 50_000, 300_000]) {
      const name = `of-${size}`
      expect(await b.do('open', name, 'old', size)).toBe('open')
      await a.do('invalidate', name)
      // it has not looked up anything since
      await b.do('finish', name)
      expect(await b.do('get', name)).toBe('nothing')
      expect(await a.do('get', name)).toBe('nothing')
      expect(await b.do('outdated')).toContain(name)
      // a newer one is
      expect(await b.do('put', name, 'new', size)).toBe('stored')
      expect(await a.do('get', name)).toBe('new')
    }
  })
})

test('a purge of many in one reaches what others have in memory and on its way', async () => {
  const [a, b] = await two()
  for (const name of ['x1', 'x2', 'y1']) {
    await a.do('put', name, 'old')
    expect(await b.do('get', name)).toBe('old')
  }
  expect(await b.do('open', 'x3', 'old', 100)).toBe('open')
  expect(await a.do('purge', 'x')).toBe('2')
  for (const name of ['x1', 'x2']) expect(await b.do('get', name)).toBe('nothing')
  await b.do('finish', 'x3')
  expect(await b.do('get', 'x3')).toBe('nothing')
  expect(await b.do('get', 'y1')).toBe('old')
})

test('who comes later is known to who was alone, and who leaves is forgotten', async () => {
  const folder = newFolder()
  const [a] = await open(1, { folder })
  await a?.do('put', 'x', 'one')
  const [b] = await open(1, { folder })
  expect(await b?.do('get', 'x')).toBe('one')
  expect(await a?.do('invalidate', 'x')).toBe('1')
  expect(await b?.do('get', 'x')).toBe('nothing')
  // memory of the one that is left is its own business again
  expect(await b?.do('close')).toBe('closed')
  await a?.do('put', 'y', 'one')
  expect(await a?.do('get', 'y')).toBe('one')
})

test('one that slept through more changes than are kept forgets all it had in memory', async () => {
  const [a, b] = await two()
  await a.do('put', 'x', 'one')
  expect(await b.do('get', 'x')).toBe('one')
  b.child.kill('SIGSTOP')
  expect(await a.do('put', 'x', 'two')).toBe('stored')
  let deeds = 0
  while (deeds < 40_000) {
    const answer = await a.do('busy', 1, deeds + 1)
    expect(answer).toMatch(/^well/)
    deeds += Number(answer.split(' ')[1])
  }
  b.child.kill('SIGCONT')
  expect(await b.do('get', 'x')).not.toBe('one')
}, 60_000)

test('the quota is one for all, nothing is removed twice, and files follow the index', async () => {
  const folder = newFolder()
  // of a smaller one the write-ahead log may take more than its share
  const size = 140_000_000
  const all = await open(3, { folder, size })
  const answers = await Promise.all(all.map((user, i) => user.do('busy', 7, i + 1, 10_000, 900_000)))
  for (const answer of answers) expect(answer).toMatch(/^well/)
  const sums = await Promise.all(all.map(user => user.sums()))
  expect(sums.reduce((sum, each) => sum + (each['removed'] ?? 0), 0)).toBeGreaterThan(50)
  for (const each of sums) expect(each['damaged']).toBe(0)
  expect(takenIn(folder)).toBeLessThanOrEqual(size * 1.02)
  // all agree, once they look
  for (const user of all) await user.do('put', 'last', 'v')
  const counts = await Promise.all(all.map(async user => (await user.do('get', 'last'), (await user.sums())['count'])))
  expect(Math.max(...counts.map(Number)) - Math.min(...counts.map(Number))).toBeLessThanOrEqual(1)
  for (const user of all) expect(await user.do('close')).toBe('closed')
  const [last] = await open(1, { folder, size })
  expect((await last?.sums())?.['damaged']).toBe(0)
}, 60_000)

test('one is killed at work, again and again: the others go on, and nothing of it stays behind', async () => {
  const folder = newFolder()
  const [steady] = await open(1, { folder })
  if (steady === undefined) throw new Error('not started')
  for (let round = 0; round < 4; round++) {
    const [victim] = await open(1, { folder })
    expect(await victim?.do('put', 'mark', `r${round}`)).toBe('stored')
    expect(await steady.do('get', 'mark')).toBe(`r${round}`)
    expect(await victim?.do('open', 'half', 'h', 400_000)).toBe('open')
    victim?.child.stdin?.write(`busy 30 ${round + 1}\n`)
    // somewhere in the middle of what both are doing
    for (let i = 0; i < 2 + round; i++) expect(await steady.do('busy', 0.15, round * 10 + i)).toMatch(/^well/)
    const work = steady.do('busy', 0.3, round + 100)
    await victim?.kill()
    expect(await work).toMatch(/^well/)
    expect(await steady.do('invalidate', 'mark')).toBe('1')
  }
  expect(steady.notices).toEqual([])
  // it looks after the dead by itself: nobody but it is left, and there are no files that nobody is writing
  await expect.poll(() => filesOfNobody(folder), { timeout: 60_000, interval: 200 }).toEqual([])
  expect((await steady.sums())['damaged']).toBe(0)
  expect(await steady.do('close')).toBe('closed')
}, 150_000)

test('an index that one has set aside is let go by the others', async () => {
  const folder = newFolder()
  const [a, b] = await two({ folder })
  for (let i = 0; i < 200; i++) await a.do('put', `x${i}`, 'one', 5000)
  await a.do('close')
  const [c] = await open(1, { folder })
  expect(await b.do('get', 'x1')).toBe('one')
  // the middle of the file is junk now
  const path = join(folder, 'index.db')
  const { size } = statSync(path)
  const fd = openSync(path, 'r+')
  writeSync(fd, Buffer.alloc(size - 8192, 'junk'), 0, size - 8192, 8192)
  closeSync(fd)
  for (let i = 0; i < 200; i++) await c?.do('get', `x${i}`)
  expect(await c?.do('put', 'new', 'two')).toBe('stored')
  expect(await b.do('get', 'x1')).toBe('nothing')
  expect(await b.do('get', 'new')).toBe('two')
  expect(await b.do('put', 'back', 'three')).toBe('stored')
  expect(await c?.do('get', 'back')).toBe('three')
  expect([...(c?.notices ?? []), ...b.notices].filter(line => line.includes('damaged'))).toHaveLength(1)
}, 30_000)

const takenIn = (folder: string): number => {
  let taken = 0
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    const stat = statSync(join(folder, name), { throwIfNoEntry: false })
    if (stat?.isFile() === true && !name.endsWith('-shm')) taken += stat.size
  }
  return taken
}

/** Files under content that the index neither has in use nor knows to be somebody's who lives. */
const filesOfNobody = (folder: string): string[] => {
  const db = new DatabaseSync(join(folder, 'index.db'))
  const known = new Set(db.prepare('SELECT file FROM response WHERE file IS NOT NULL').all().map(row => Number(row['file'])))
  // of those who live, files that nothing was promised are still to be made
  const left = 'state = 2 OR (state = 0 AND (bytes > 0 OR owner NOT IN (SELECT owner FROM user)))'
  const unfinished = db.prepare(`SELECT id FROM file WHERE ${left}`).all().length
  const alive = db.prepare('SELECT count(*) AS n FROM user').get()?.['n']
  db.close()
  const files = readdirSync(join(folder, 'content'), { recursive: true, encoding: 'utf8' })
    .filter(name => /\d+$/.test(name) && statSync(join(folder, 'content', name), { throwIfNoEntry: false })?.isFile() === true)
    .filter(name => !known.has(Number(name.split('/').at(-1))))
  return alive === 1 && unfinished === 0 ? files : [...files, `${String(alive)} users, ${unfinished} unfinished`]
}
