import type { Arguments, OtherWorkers, Page, PageAnswer, PageRefusal } from './page.ts'
import type { Rendered } from './registry.ts'

// One page of several workers: each makes its own snapshot, whoever was asked puts them together.
//
//   asked ─┬─► answer(args) of its own ────┐
//          └─► the others, at the same time ┴─► together(values) ─► text, JSON
//                                            └─► no `together`: one after the other, by number

export const rendered = <Value>(page: Page<Value>, value: Value): Rendered => ({
  ok: true,
  text: () => page.text(value),
  json: () => `${JSON.stringify(value)}\n`,
})

interface Said<Value> {
  readonly worker: number
  readonly answer: PageAnswer<Value> | null
}

export const allOf = async <Value>(page: Page<Value>, others: OtherWorkers, args: Arguments): Promise<Rendered | PageRefusal> => {
  const theirs = others.ask(page.name, args)
  const own = await page.answer(args)
  // the same program made them, from the same page
  const said = [{ worker: others.number, answer: own }, ...((await theirs) as readonly Said<Value>[])].sort((a, b) => a.worker - b.worker)
  const answered = said.flatMap(({ worker, answer }) => (answer?.ok === true ? [{ worker, value: answer.value }] : []))
  const silent = said.filter(({ answer }) => answer === null).map(({ worker }) => worker)
  // one of them may be without what the others have: a session, a stored response
  if (answered.length === 0 && !own.ok) return own
  const { together } = page
  const missing = silent.map(worker => `kid${worker} did not answer\n`).join('')
  if (typeof together === 'function') {
    const value = together(answered.map(({ value: one }) => one), silent)
    return { ok: true, text: () => page.text(value) + missing, json: rendered(page, value).json }
  }
  return {
    ok: true,
    text: () => answered.map(({ worker, value }) => `by kid${worker} {\n${page.text(value)}} by kid${worker}\n\n`).join('') + missing,
    json: () => `${JSON.stringify(Object.fromEntries(answered.map(({ worker, value }) => [`kid${worker}`, value])))}\n`,
  }
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
