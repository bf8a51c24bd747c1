// What a room hands in. Rooms below this one write these objects with the types alone.

/** `?name=value&name=value` of the request: names may repeat. What is not known is not looked at. */
export type Arguments = URLSearchParams

export interface Page<Value> {
  /** As in the menu and in the path: lower-case letters, digits, `_`. */
  readonly name: string
  /** For the menu; a few words. */
  readonly doc: string
  /**
   * 'protected': over the network not without a password (cachemgr_passwd), since it changes something or shows what not
   * everybody should see. The control socket needs none.
   */
  readonly protection: 'public' | 'protected'
  /** 'changes': asked for with POST, so that no prefetching browser sets it off. 'either': Squid has it on GET. */
  readonly effect: 'shows' | 'changes' | 'either'
  /** A value that JSON can hold, taken now and never changed afterwards. */
  answer(args: Arguments): PageAnswer<Value> | Promise<PageAnswer<Value>>
  /** Pure. With its last newline. */
  text(value: Value): string
  /**
   * What several workers say together. 'one': whoever is asked answers for all of them, and nobody else is asked.
   * `silent`: the workers that have not answered. Absent: what each says, one after the other, as Squid writes it (`by kid1 {`).
   */
  readonly together?: 'one' | ((values: readonly Value[], silent: readonly number[]) => Value)
  /**
   * What of it outlives the process that made it: what was counted, with nothing of what was at that moment. The value of
   * a worker that has died is put together with the others' as this, so that sums of counts never go down. Pure; only
   * where `together` is a function, which meets such values behind those of the living, and whose `answer` does not
   * depend on its arguments.
   */
  leaves?(value: Value): Value
}

/** What one of several workers said. */
export interface WorkerAnswer {
  readonly worker: number
  /** Null: it did not answer in time, or has died. */
  readonly answer: PageAnswer<unknown> | null
  /** It has died, and its successor does not serve yet. */
  readonly gone: boolean
  /** The value it was last known to have, of a page that `leaves` something; undefined: none. */
  readonly last: unknown
}

/** The last known values of pages that leave something, by their names. */
export type Legacy = Readonly<Record<string, unknown>>

/** The other workers, as a page sees them. Absent in a process that is alone. */
export interface OtherWorkers {
  /** This one's. */
  readonly number: number
  /** `own`: of a page that `leaves` something, all that this one has counted: it is kept, should this one die. */
  ask(page: string, args: Arguments, own: Legacy | null): Promise<readonly WorkerAnswer[]>
}

export type PageAnswer<Value> = { readonly ok: true; readonly value: Value } | PageRefusal

export interface PageRefusal {
  readonly ok: false
  /** 400 the arguments are wrong, 404 there is none of that name, 409 not now, 503 it cannot be told. */
  readonly status: 400 | 404 | 409 | 503
  /** One sentence. */
  readonly reason: string
}

export const refusedPage = (status: PageRefusal['status'], reason: string): PageRefusal => ({ ok: false, status, reason })
