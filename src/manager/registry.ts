import { assert } from '../base/index.ts'
import type { Arguments, Legacy, OtherWorkers, Page, PageAnswer, PageRefusal } from './page.ts'
import { allOf, rendered, withLegacy } from './together.ts'

/** A page after its snapshot was taken: written as often and in what way is wished. */
export interface Rendered {
  readonly ok: true
  text(): string
  json(): string
}

export interface RegisteredPage {
  readonly name: string
  readonly doc: string
  readonly protection: 'public' | 'protected'
  readonly effect: 'shows' | 'changes' | 'either'
  /** Of all workers. */
  render(args: Arguments): Promise<Rendered | PageRefusal>
  /** It has something to leave (see `Page.leaves`). */
  readonly leaves: boolean
  /** What this process alone says, with what it has inherited; a value that JSON can hold. */
  own(args: Arguments): Promise<PageAnswer<unknown>>
}

/** All pages of one running proxy. Rooms come and go with a reload; the page that is registered last has the name. */
export class Manager {
  readonly #pages = new Map<string, RegisteredPage>()
  others: OtherWorkers | null = null
  /** Of a worker that has died, whose place this one has. */
  inherited: Legacy | null = null

  register<Value>(page: Page<Value>): void {
    assert(/^[a-z0-9_]{1,40}$/.test(page.name), `a page of the manager is named '${page.name}'`)
    assert(page.leaves === undefined || typeof page.together === 'function', `the page '${page.name}' leaves what nobody can add`)
    const own = async (args: Arguments): Promise<PageAnswer<Value>> => withLegacy(page, await page.answer(args), this.inherited)
    this.#pages.set(page.name, {
      name: page.name,
      doc: page.doc,
      protection: page.protection,
      effect: page.effect,
      leaves: page.leaves !== undefined,
      own,
      render: async args => {
        if (this.others !== null && page.together !== 'one') return allOf(page, { answer: () => own(args), legacy: () => this.legacy() }, this.others, args)
        const answer = await page.answer(args)
        return answer.ok ? rendered(page, answer.value) : answer
      },
    })
  }

  find(name: string): RegisteredPage | null {
    return this.#pages.get(name) ?? null
  }

  /** What this worker would leave if it died now. */
  async legacy(): Promise<Legacy> {
    const left: Record<string, unknown> = {}
    for (const page of this.#pages.values()) {
      if (!page.leaves) continue
      const answer = await page.own(new URLSearchParams())
      if (answer.ok) left[page.name] = answer.value
    }
    return left
  }

  /** By name. */
  get pages(): readonly RegisteredPage[] {
    return [...this.#pages.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  }
}
