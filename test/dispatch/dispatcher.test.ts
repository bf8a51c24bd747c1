// The dispatch table: who is asked about a connection, in which order, and when a listener opens and closes. Seen
// through entries that write down their names, over a comm that listens on nothing.

import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { createComm } from '../../comm/index.ts'
import { endpoint, endpointText } from '../../src/base/index.ts'
import { type Answer, createDispatcher, type Entry, priority, type Registered } from '../../src/dispatch/index.ts'
import { Chain } from '../../src/dispatch/chain.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { FakeComm, FakeConnection, usual } from './kit.ts'
import net from 'node:net'

const at = endpoint('10.0.0.1', 3129)
const text = endpointText(at)

const table = () => {
  const comm = new FakeComm()
  const asked: string[] = []
  const bugs: unknown[] = []
  const unclaimed: string[] = []
  const dispatcher = createDispatcher({
    comm,
    failed: error => bugs.push(error),
    unclaimed: (connection, bind) => unclaimed.push(`${endpointText(connection.peer)} at ${endpointText(bind)}`),
  })
  const entry = (name: string, answer: Answer | (() => Answer) = 'declined'): Entry => ({
    accept() {
      asked.push(name)
      return typeof answer === 'string' ? answer : answer()
    },
  })
  const add = (name: string, level: number, answer: Answer | (() => Answer) = 'declined', bind = at): Registered => {
    const added = dispatcher.add(bind, usual, entry(name, answer), level)
    if (!added.ok) throw new Error(added.detail)
    return added.registered
  }
  return { comm, asked, bugs, unclaimed, dispatcher, add, entry }
}

describe('a connection', () => {
  it('is offered in the order of priorities, within one to the newest first', () => {
    const { comm, asked, add } = table()
    add('listen', priority.listen)
    add('related 1', priority.related)
    add('secondary 1', priority.secondary)
    add('related 2', priority.related)
    add('between', 50)
    add('secondary 2', priority.secondary)
    comm.arrive(text)
    expect(asked).toEqual(['related 2', 'related 1', 'secondary 2', 'secondary 1', 'between', 'listen'])
  })

  it('belongs to the first that takes it, and stays open', () => {
    const { comm, asked, add, dispatcher } = table()
    add('listen', priority.listen, 'taken')
    add('secondary', priority.secondary, 'taken')
    add('related', priority.related)
    expect(comm.arrive(text).closed).toBe(false)
    expect(asked).toEqual(['related', 'secondary'])
    expect(dispatcher.counters).toMatchObject({ taken: 1, declined: 0 })
  })

  it('that nobody takes is closed, with a reason, told of, and counted', () => {
    const { comm, add, dispatcher, unclaimed } = table()
    add('related', priority.related)
    expect(comm.arrive(text).closedFor).toBe('refused')
    expect(dispatcher.counters).toMatchObject({ taken: 0, declined: 1 })
    expect(unclaimed).toEqual([`192.0.2.10:51234 at ${text}`])
  })

  it('on which an entry throws is closed; the next one is offered as ever', () => {
    const { comm, asked, bugs, add, dispatcher } = table()
    add('listen', priority.listen, 'taken')
    let times = 0
    add('fragile', priority.related, () => {
      if (times++ === 0) throw new Error('a bug')
      return 'declined'
    })
    expect(comm.arrive(text).closedFor).toBe('handler-failed')
    expect(comm.arrive(text).closed).toBe(false)
    expect(asked).toEqual(['fragile', 'fragile', 'listen'])
    expect(bugs).toHaveLength(1)
    expect(dispatcher.counters).toMatchObject({ failures: 1, taken: 1 })
  })

  it.each([
    ['the one being asked', ['b'], ['a', 'b', 'c', 'd']],
    ['the next one', ['c'], ['a', 'b', 'd']],
    ['all that follow', ['c', 'd'], ['a', 'b']],
    ['all, from the back', ['d', 'c', 'b', 'a'], ['a', 'b']],
    ['all, from the front', ['a', 'b', 'c', 'd'], ['a', 'b']],
  ])('finds its way when %s is removed meanwhile', (_what, removed, expected) => {
    for (const levels of [[0, 0, 0, 0], [1, 2, 3, 4], [1, 2, 2, 3]]) {
      const { comm, asked, add } = table()
      const handles = new Map<string, Registered>()
      for (const [i, name] of ['d', 'c', 'b', 'a'].entries()) {
        handles.set(
          name,
          add(name, levels[3 - i] ?? 0, () => {
            if (name === 'b') for (const each of removed) handles.get(each)?.remove()
            return 'declined'
          }),
        )
      }
      comm.arrive(text)
      expect(asked).toEqual(expected)
    }
  })

  it('is not offered to entries that come while it is offered', () => {
    const { comm, asked, add } = table()
    add('first', 0, () => {
      add('late, same', 0)
      add('late, before', -1)
      return 'declined'
    })
    comm.arrive(text)
    expect(asked).toEqual(['first'])
    comm.arrive(text)
    expect(asked.slice(1)).toEqual(['late, before', 'late, same', 'first'])
  })
})

describe('a bind', () => {
  it('listens once for all its entries, and no longer than its last one', () => {
    const { comm, add, dispatcher } = table()
    const handles = [add('a', 0), add('b', 100), add('c', 0)]
    expect(comm.log).toEqual([`+${text}`])
    expect(dispatcher.entriesOn(at)).toBe(3)
    for (const handle of handles) handle.remove()
    expect(comm.log).toEqual([`+${text}`, `-${text}`])
    expect([dispatcher.binds, dispatcher.entriesOn(at)]).toEqual([0, 0])
    handles[0]?.remove()
    add('again', 0)
    handles[0]?.remove() // an old handle means nothing for the new listener
    expect(comm.log).toEqual([`+${text}`, `-${text}`, `+${text}`])
    expect(dispatcher.binds).toBe(1)
  })

  it.each([
    ['way of being taken (tproxy or not)', { flags: 16 }],
    ['choice of IPv4 and IPv6', { dualStack: true }],
    ['backlog', { backlog: 1 }],
    ['way of being taken (intercept, tproxy, direct)', { natBackend: 'netfilter' }],
    ['mark', { mark: 1 }],
  ] as const)('with another %s is a conflict, and said so', (name, other) => {
    const { comm, add, dispatcher, entry } = table()
    add('first', priority.listen)
    const added = dispatcher.add(at, { ...usual, ...other }, entry('second'), priority.related)
    expect(added).toMatchObject({ ok: false, reason: 'conflict', detail: expect.stringContaining(name) })
    expect(dispatcher.entriesOn(at)).toBe(1)
    expect(comm.log).toHaveLength(1)
  })

  it('on another device is another bind', () => {
    const { comm, dispatcher, entry } = table()
    for (const device of ['lan0', 'lan1']) {
      expect(dispatcher.add(at, { ...usual, device }, entry(device, 'taken'), priority.listen)).toMatchObject({ ok: true })
    }
    expect([dispatcher.binds, dispatcher.entriesOn(at), dispatcher.entriesOn(at, 'lan0')]).toEqual([2, 0, 1])
    expect(comm.log).toEqual([`+${text} lan0`, `+${text} lan1`])
  })

  it.each<[wildcard: string, dualStack: boolean, joins: boolean, to: string]>([
    ['10.0.0.1', false, true, '10.0.0.1'],
    ['0.0.0.0', false, true, '10.0.0.1'],
    ['::', true, true, '10.0.0.1'],
    ['::', false, false, '10.0.0.1'],
    ['::', false, true, '2001:db8::1'],
    ['0.0.0.0', false, false, '2001:db8::1'],
    ['10.0.0.2', false, false, '10.0.0.1'],
  ])('at %s (both families: %s) is joined: %s, by who waits at %s', (wildcard, dualStack, joins, to) => {
    const { comm, asked, dispatcher, entry } = table()
    const bind = endpoint(wildcard, 20_021)
    dispatcher.add(bind, { ...usual, dualStack }, entry('listener', 'taken'), priority.listen)
    const joined = dispatcher.join(endpoint(to, 20_021), entry('related', 'taken'), priority.related)
    expect(joined !== null).toBe(joins)
    comm.arrive(endpointText(bind))
    expect(asked).toEqual([joins ? 'related' : 'listener'])
    expect(dispatcher.join(endpoint(to, 20_022), entry('other port'), priority.related)).toBeNull()
    joined?.remove()
    expect(comm.log).toHaveLength(1)
  })

  it('that cannot be had says why and leaves nothing behind', () => {
    const { comm, dispatcher, entry } = table()
    comm.taken.add(text)
    expect(dispatcher.add(at, usual, entry('x'), 0)).toMatchObject({ ok: false, reason: 'listen-failed', errno: 'EADDRINUSE' })
    expect(dispatcher.binds).toBe(0)
  })

  it('with port 0 is always a new one, known by the port the kernel chose', () => {
    const { add, dispatcher } = table()
    const [one, two] = [add('a', 0, 'declined', endpoint('10.0.0.1', 0)), add('b', 0, 'declined', endpoint('10.0.0.1', 0))]
    expect([one?.endpoint.port, two?.endpoint.port]).toEqual([40_000, 40_001])
    expect(dispatcher.binds).toBe(2)
    add('c', 0, 'declined', endpoint('10.0.0.1', 40_000))
    expect(dispatcher.entriesOn(endpoint('10.0.0.1', 40_000))).toBe(2)
  })

  it('tells addresses and families apart', () => {
    const { dispatcher, add } = table()
    for (const address of ['0.0.0.0', '::', '10.0.0.1', '10.0.0.2', '::1']) add(address, 0, 'declined', endpoint(address, 80))
    expect(dispatcher.binds).toBe(5)
  })

  it('gives the next connection to the entry that replaced the one before, without closing', () => {
    const { comm, asked, add, entry } = table()
    const handle = add('old', priority.listen, 'taken')
    add('related', priority.related)
    comm.arrive(text)
    handle.replace(entry('new', 'taken'))
    comm.arrive(text)
    expect(asked).toEqual(['related', 'old', 'related', 'new'])
    expect(comm.log).toHaveLength(1)
  })
})

describe('a million entries', () => {
  it('cost as many steps to add and remove as a few do', () => {
    const silent: Entry = { accept: () => 'declined' }
    const stepsFor = (present: number): number => {
      const chain = new Chain()
      chain.add(silent, priority.listen)
      chain.add(silent, priority.secondary)
      const places = Array.from({ length: present }, () => chain.add(silent, priority.related))
      chain.steps = 0
      const one = chain.add(silent, priority.related)
      chain.remove(one)
      const listener = chain.add(silent, priority.listen)
      chain.remove(listener)
      const middle = places[present >> 1]
      if (middle !== undefined) chain.remove(middle)
      return chain.steps
    }
    expect(stepsFor(1_000_000)).toBe(stepsFor(3))
  })

  it('on as many binds are found, offered and removed each by its own', () => {
    const comm = new FakeComm()
    const dispatcher = createDispatcher({ comm })
    const count = 200_000
    const handles: Registered[] = []
    let taken = -1
    for (let i = 0; i < count; i++) {
      const bind = endpoint(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`, 20)
      const added = dispatcher.add(bind, usual, { accept: () => ((taken = i), 'taken') }, priority.related)
      if (added.ok) handles.push(added.registered)
    }
    expect(dispatcher.binds).toBe(count)
    for (const i of [0, 1, 77_777, count - 1]) {
      comm.arrive(endpointText(handles[i]?.endpoint ?? at))
      expect(taken).toBe(i)
    }
    for (const handle of handles) handle.remove()
    expect([dispatcher.binds, comm.open.size]).toEqual([0, 0])
  })
})

describe('a chain, whatever happens to it', () => {
  it('offers what a sorted list would', () => {
    const step = fc.oneof(
      fc.record({ do: fc.constant('add' as const), level: fc.integer({ min: -2, max: 2 }) }),
      fc.record({ do: fc.constant('remove' as const), nth: fc.nat(30) }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), steps => {
        const chain = new Chain()
        const asked: number[] = []
        const model: { id: number; level: number; place: ReturnType<Chain['add']> }[] = []
        let id = 0
        for (const one of steps) {
          if (one.do === 'add') {
            const mine = ++id
            const place = chain.add({ accept: () => (asked.push(mine), 'declined') }, one.level)
            model.push({ id: mine, level: one.level, place })
          } else if (model.length > 0) {
            const [gone] = model.splice(one.nth % model.length, 1)
            if (gone) chain.remove(gone.place)
          }
        }
        chain.offer(new FakeConnection() as never)
        const expected = [...model].sort((x, y) => x.level - y.level || y.id - x.id).map(x => x.id)
        expect(asked).toEqual(expected)
        expect(chain.size).toBe(model.length)
      }),
      { numRuns: 500 },
    )
  })
})

describe('over real sockets', () => {
  const closes: (() => void)[] = []
  afterEach(() => {
    for (const close of closes.splice(0)) close()
  })

  it('the client of a connection nobody takes sees it closed, the next one is served', async () => {
    const comm = createComm({ clock: new FakeClock(), engine: 'auto' })
    closes.push(() => comm.close())
    const dispatcher = createDispatcher({ comm })
    closes.push(() => dispatcher.close())
    let willing = false
    const added = dispatcher.add(
      endpoint('127.0.0.1', 0),
      usual,
      {
        accept(connection) {
          if (!willing) return 'declined'
          connection.write('taken')
          connection.closeAfterFlush()
          return 'taken'
        },
      },
      priority.listen,
    )
    if (!added.ok) throw new Error(added.detail)
    const said = async (): Promise<string> => {
      const socket = net.connect(added.registered.endpoint.port, '127.0.0.1')
      let heard = ''
      socket.on('data', chunk => {
        heard += chunk.toString()
      })
      socket.on('error', () => {}) // a refusal may come as a reset
      await new Promise(closed => socket.once('close', closed))
      return heard
    }
    expect(await said()).toBe('')
    willing = true
    expect(await said()).toBe('taken')
    expect(dispatcher.counters).toMatchObject({ declined: 1, taken: 1 })
  })
})
