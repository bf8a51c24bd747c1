import { describe, expect, test } from 'vitest'
import { Manager, type Page, type PageAnswer, type WorkerAnswer } from '../../src/manager/index.ts'

// Guards what several workers say together while one of them has died, hangs, or has just taken a dead one's place. Sees it
// in pages of three workers, of which one is here and two are what the supervisor would say of them.

interface Value {
  readonly counted: number
  readonly open: number
}

const sums: Page<Value> = {
  name: 'sums',
  doc: '',
  protection: 'public',
  effect: 'shows',
  answer: () => ({ ok: true, value: { counted: 10, open: 1 } }),
  text: ({ counted, open }) => `${counted} counted, ${open} open\n`,
  together: all => ({ counted: all.reduce((sum, one) => sum + one.counted, 0), open: all.reduce((sum, one) => sum + one.open, 0) }),
  leaves: ({ counted }) => ({ counted, open: 0 }),
}

const aside: Page<number> = { name: 'aside', doc: '', protection: 'public', effect: 'shows', answer: () => ({ ok: true, value: 1 }), text: n => `${n}\n` }

const ok = (counted: number, open: number): PageAnswer<Value> => ({ ok: true, value: { counted, open } })
const living = (worker: number, answer: PageAnswer<unknown>): WorkerAnswer => ({ worker, answer, gone: false, last: { counted: 1, open: 9 } })

/** The page that worker 1 makes, and what it has told of itself when it asked. */
const told = async (page: string, others: readonly WorkerAnswer[], inherited: Record<string, unknown> | null = null) => {
  const manager = new Manager()
  manager.register(sums)
  manager.register(aside)
  manager.inherited = inherited
  let own: unknown = 'not asked'
  manager.others = {
    number: 1,
    ask: async (_page, _args, mine) => {
      own = mine
      return others
    },
  }
  const rendered = await manager.find(page)?.render(new URLSearchParams())
  return { text: rendered?.ok === true ? rendered.text() : null, own }
}

describe('a page of counts', () => {
  test('of the living alone', async () => {
    expect(await told('sums', [living(2, ok(20, 2)), living(3, ok(30, 3))])).toEqual({
      text: '60 counted, 6 open\n',
      own: { sums: { counted: 10, open: 1 } },
    })
  })

  test('has what a dead one has counted, and nothing of what it had open', async () => {
    const dead: WorkerAnswer = { worker: 2, answer: null, gone: true, last: { counted: 20, open: 2 } }
    expect((await told('sums', [dead, living(3, ok(30, 3))])).text).toBe('60 counted, 4 open\n')
  })

  test('has what one that hangs has last said, and says that it hangs', async () => {
    const hangs: WorkerAnswer = { worker: 2, answer: null, gone: false, last: { counted: 20, open: 2 } }
    expect((await told('sums', [hangs, living(3, ok(30, 3))])).text).toBe('60 counted, 4 open\nkid2 did not answer\n')
  })

  test('of one that died before it was ever asked is without it', async () => {
    expect((await told('sums', [{ worker: 2, answer: null, gone: true, last: undefined }])).text).toBe('10 counted, 1 open\n')
  })

  test('of a successor has what was counted before it, and leaves it on', async () => {
    expect(await told('sums', [], { sums: { counted: 5, open: 7 } })).toEqual({
      text: '15 counted, 1 open\n',
      own: { sums: { counted: 15, open: 1 } },
    })
  })
})

test('a page that is told side by side has nothing of the dead', async () => {
  const dead: WorkerAnswer = { worker: 2, answer: null, gone: true, last: { counted: 20, open: 2 } }
  expect(await told('aside', [dead])).toEqual({ text: 'by kid1 {\n1\n} by kid1\n\n', own: null })
})
