import type { Arguments, Legacy, OtherWorkers, Page, PageAnswer, PageRefusal } from './page.ts'
import type { Rendered } from './registry.ts'

// One page of several workers: each makes its own snapshot, whoever was asked puts them together.
//
//   asked ─┬─► answer(args) of its own ────┐
//          └─► the others, at the same time ┴─► together(values) ─► text, JSON
//                                            └─► no `together`: one after the other, by number
//
// Of a page that `leaves` something the own answer comes first and goes with the question, so that nobody is ever told a
// count that only its worker knows.

export const rendered = <Value>(page: Page<Value>, value: Value): Rendered => ({
  ok: true,
  text: () => page.text(value),
  json: () => `${JSON.stringify(value)}\n`,
})

interface Said<Value> {
  readonly worker: number
  readonly answer: PageAnswer<Value> | null
  readonly gone: boolean
  readonly last: Value | undefined
}

/** This worker, with what it has inherited. */
export interface Oneself<Value> {
  answer(): Promise<PageAnswer<Value>>
  legacy(): Promise<Legacy>
}

export const allOf = async <Value>(page: Page<Value>, self: Oneself<Value>, others: OtherWorkers, args: Arguments): Promise<Rendered | PageRefusal> => {
  const before = page.leaves === undefined ? null : await self.answer()
  const theirs = others.ask(page.name, args, before === null ? null : await self.legacy())
  const own = before ?? (await self.answer())
  // the same program made them, from the same page
  const said = [{ worker: others.number, answer: own, gone: false, last: undefined }, ...((await theirs) as readonly Said<Value>[])].sort((a, b) => a.worker - b.worker)
  const answered = said.flatMap(({ worker, answer: one }) => (one?.ok === true ? [{ worker, value: one.value }] : []))
  const silent = said.filter(({ answer: one, gone }) => one === null && !gone).map(({ worker }) => worker)
  // one of them may be without what the others have: a session, a stored response
  if (answered.length === 0 && !own.ok) return own
  const { together } = page
  const missing = silent.map(worker => `kid${worker} did not answer\n`).join('')
  if (typeof together === 'function') {
    const left = said.flatMap(({ answer: one, last }) => (one === null && last !== undefined && page.leaves !== undefined ? [page.leaves(last)] : []))
    const value = together([...answered.map(({ value: one }) => one), ...left], silent)
    return { ok: true, text: () => page.text(value) + missing, json: rendered(page, value).json }
  }
  return {
    ok: true,
    text: () => answered.map(({ worker, value }) => `by kid${worker} {\n${page.text(value)}} by kid${worker}\n\n`).join('') + missing,
    json: () => `${JSON.stringify(Object.fromEntries(answered.map(({ worker, value }) => [`kid${worker}`, value])))}\n`,
  }
}

/** What this worker says, and with it what those before it in its place have counted. */
export const withLegacy = <Value>(page: Page<Value>, answer: PageAnswer<Value>, legacy: Legacy | null): PageAnswer<Value> => {
  const before = legacy?.[page.name] as Value | undefined // the same program made it, from the same page
  if (!answer.ok || before === undefined || page.leaves === undefined || typeof page.together !== 'function') return answer
  return { ok: true, value: page.together([answer.value, page.leaves(before)], []) }
}

/** Field by field: what several workers have counted. The other fields are those of the first. */
export const addNumbers = <Counted extends object>(a: Counted, b: Counted): Counted => {
  const sum = { ...a }
  for (const name of Object.keys(a)) {
    const [one, other]: unknown[] = [Reflect.get(a, name), Reflect.get(b, name)]
    if (typeof one === 'number' && typeof other === 'number') Reflect.set(sum, name, one + other)
  }
  return sum
}
