// The contract of helper programs: whatever a program does, every question gets an answer in time, what waits has a
// limit, and no process is left. Seen with real little programs of sh.

import { afterEach, describe, expect, it } from 'vitest'
import { ms, sleep, systemClock } from '../../src/base/index.ts'
import { type HelperChildren, HelperPool, parseReply } from '../../src/helper/index.ts'
import { FakeClock } from '../support/fake-clock.ts'

const pools: HelperPool[] = []
const said: string[] = []

afterEach(async () => {
  said.length = 0
  for (const pool of pools.splice(0)) {
    const pids = pool.pids
    await pool.stop()
    expect(pool.children).toBe(0)
    for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow()
  }
})

const poolOf = (script: string, children: Partial<HelperChildren> = {}, clock = new FakeClock()): HelperPool => {
  const pool = new HelperPool(
    { clock, complain: text => void said.push(text) },
    {
      name: 'test_program',
      command: ['/bin/sh', '-c', script],
      children: { max: 2, startup: 0, idle: 0, concurrency: 0, queueMax: 4, ...children },
      timeout: ms(10_000),
    },
  )
  pools.push(pool)
  return pool
}

const until = async (holds: () => boolean, what: string): Promise<void> => {
  const end = systemClock.mono() + 8000
  while (!holds()) {
    if (systemClock.mono() > end) throw new Error(`waited in vain for ${what}; said: ${said.join(' | ')}`)
    await sleep(systemClock, ms(2))
  }
}

const echo = 'while read -r line; do echo "OK was=$line"; done'

describe('a helper', () => {
  it('is started when it is asked, and answers in order without numbers', async () => {
    const pool = poolOf(echo, { max: 1 })
    expect(pool.children).toBe(0)
    const answers = await Promise.all(['a', 'b', 'c'].map(line => pool.ask(line)))
    expect(answers.map(a => a.ok && parseReply(a.text).values.get('was'))).toEqual(['a', 'b', 'c'])
    expect(pool.children).toBe(1)
  })

  it('with startup= is there before anybody asks', () => {
    const pool = poolOf(echo, { startup: 2 })
    pool.start()
    expect(pool.children).toBe(2)
  })

  it('keeps one idle child ahead of need, up to its maximum', async () => {
    const pool = poolOf(echo, { max: 3, idle: 1 })
    await Promise.all(['a', 'b', 'c'].map(line => pool.ask(line)))
    expect(pool.children).toBe(3)
  })

  it('with concurrency may answer out of order', async () => {
    const pool = poolOf('read -r x; read -r y; echo "${y%% *} OK for=second"; echo "${x%% *} OK for=first"; cat', { max: 1, concurrency: 5 })
    const [first, second] = await Promise.all([pool.ask('one'), pool.ask('two')])
    expect([first, second]).toEqual([{ ok: true, text: 'OK for=first' }, { ok: true, text: 'OK for=second' }])
  })

  it('that answers numbers nobody asked is told of and goes on', async () => {
    const pool = poolOf('while read -r id rest; do echo "77777 OK"; echo nonsense; echo "$id OK"; done', { max: 1, concurrency: 5 })
    expect(await pool.ask('x')).toEqual({ ok: true, text: 'OK' })
    expect(said.filter(text => text.includes('answers no question'))).toHaveLength(2)
  })

  it('that says too much without numbers is replaced: its answers can no longer be told apart', async () => {
    const pool = poolOf('while read -r line; do echo "OK was=$line"; echo "ERR"; done', { max: 1 })
    expect(await pool.ask('a')).toEqual({ ok: true, text: 'OK was=a' })
    await until(() => said.some(text => text.includes("said 'ERR' without being asked")), 'the complaint')
    await until(() => pool.children === 0, 'its end')
  })

  it('refuses what comes when its queue is full', async () => {
    const pool = poolOf('sleep 1000', { max: 1, queueMax: 2 })
    const waiting = ['a', 'b', 'c'].map(line => pool.ask(line))
    expect(await pool.ask('d')).toEqual({ ok: false, reason: 'busy' })
    await pool.stop()
    expect(await Promise.all(waiting)).toEqual(Array.from({ length: 3 }, () => ({ ok: false, reason: 'stopped' })))
  })

  it('that hangs is given up in time and killed; the next child answers', async () => {
    const clock = new FakeClock()
    const pool = poolOf('read -r line; [ "$line" = hang ] && exec sleep 1000; echo OK; cat', { max: 1 }, clock)
    const hung = pool.ask('hang')
    const pids = pool.pids
    clock.advance(ms(10_001))
    expect(await hung).toEqual({ ok: false, reason: 'late' })
    await until(() => pool.children === 0, 'the end of the child')
    for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow()
    const next = pool.ask('fine')
    clock.advance(ms(101))
    expect(await next).toEqual({ ok: true, text: 'OK' })
  })

  it('that hangs over the question it was started for is killed, however many it could have had', async () => {
    const clock = new FakeClock()
    const pool = poolOf('exec sleep 1000', { max: 1, concurrency: 5 }, clock)
    const hung = pool.ask('hang')
    clock.advance(ms(10_001))
    expect(await hung).toEqual({ ok: false, reason: 'late' })
    await until(() => pool.children === 0, 'the end of the child')
  })

  it('that is retired while it hangs, or with one question left out, ends when nobody waits for it any more', async () => {
    const clock = new FakeClock()
    const leavesOut = poolOf('while read -r n line; do [ "$line" = skip ] || echo "$n OK"; done', { max: 1, concurrency: 5 }, clock)
    const hangs = poolOf('exec sleep 1000', { max: 1, concurrency: 5 }, clock)
    const waiting = [leavesOut.ask('skip'), hangs.ask('x')]
    clock.advance(ms(1))
    expect(await leavesOut.ask('a')).toEqual({ ok: true, text: 'OK' })
    const gone = Promise.all([leavesOut.retire(), hangs.retire()])
    clock.advance(ms(10_000))
    expect(await Promise.all(waiting)).toEqual([{ ok: false, reason: 'late' }, { ok: false, reason: 'late' }])
    await gone
    expect([leavesOut.children, hangs.children]).toEqual([0, 0])
  })

  it('that has left a question out ends at once when it is retired later', async () => {
    const clock = new FakeClock()
    const pool = poolOf('while read -r n line; do [ "$line" = skip ] || echo "$n OK"; done', { max: 1, concurrency: 5 }, clock)
    const late = pool.ask('skip')
    clock.advance(ms(1))
    await pool.ask('a')
    clock.advance(ms(10_000))
    expect(await late).toEqual({ ok: false, reason: 'late' })
    expect(pool.children).toBe(1)
    await pool.retire()
    expect(pool.children).toBe(0)
  })

  it('that dies over a question is asked once more by another child, and then that question has no answer', async () => {
    const clock = new FakeClock()
    const pool = poolOf('read -r line; exit 3', { max: 1 }, clock)
    const question = pool.ask('poison')
    await until(() => said.length === 1, 'the first death')
    clock.advance(ms(101))
    expect(await question).toEqual({ ok: false, reason: 'died' })
    expect(said).toHaveLength(2)
    expect(said[0]).toMatch(/test_program: child \d+ ended with 3/)
  })

  it('that cannot be started rests longer and longer, and meanwhile nobody waits', async () => {
    const clock = new FakeClock()
    const pool = new HelperPool(
      { clock, complain: text => void said.push(text) },
      { name: 'test_program', command: ['/nonexistent/program'], children: { max: 2, startup: 1, idle: 0, concurrency: 0, queueMax: 9 }, timeout: ms(1000) },
    )
    pools.push(pool)
    pool.start()
    for (let i = 0; i < 6; i++) clock.advance(ms(30_000))
    await until(() => said.length > 0, 'the complaint')
    expect(await pool.ask('x')).toEqual({ ok: false, reason: 'down' })
    expect(said[0]).toContain('cannot start /nonexistent/program: ENOENT')
  })

  it('has what it says on its standard error written down', async () => {
    const pool = poolOf('echo "database is gone" >&2; while read -r l; do echo OK; done', { max: 1 })
    await pool.ask('x')
    await until(() => said.some(text => text.includes('database is gone')), 'its words')
  })

  it('that floods its output ends', async () => {
    const pool = poolOf('read -r l; head -c 100000 /dev/zero | tr "\\0" x; sleep 1000', { max: 1 })
    void pool.ask('x')
    await until(() => said.some(text => text.includes('without the end of a line')), 'the complaint')
  })

  it('that is retired answers what it has been asked and ends', async () => {
    const pool = poolOf(echo, { max: 1 })
    const last = pool.ask('a')
    const gone = pool.retire()
    expect(await last).toEqual({ ok: true, text: 'OK was=a' })
    await gone
    expect(pool.children).toBe(0)
    expect(await pool.ask('b')).toEqual({ ok: false, reason: 'stopped' })
  })

  it('leaves nothing of its process group behind', async () => {
    const pool = poolOf('sleep 1000 & echo "OK pid=$!"; wait', { max: 1 })
    const answer = await pool.ask('x')
    const grandchild = Number(parseReply(answer.ok ? answer.text : '').values.get('pid'))
    expect(grandchild).toBeGreaterThan(1)
    await pool.stop()
    await until(() => {
      try {
        process.kill(grandchild, 0)
        return false
      } catch {
        return true
      }
    }, 'the end of the grandchild')
  })
})
