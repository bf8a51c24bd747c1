import type { ProxyError } from '../base/index.ts'
import type { Route } from '../router/router.ts'

// The targets of one connection or request, in the order in which they are tried. Whoever connects asks for the present
// one and tells what became of it; which comes next, and which are passed over, is the course's affair.

export interface Course {
  /** The one to try now; null: none is left. */
  readonly route: Route | null
  /** The one that would be tried after it. */
  readonly after: Route | null
  /** It was not reached: the next. */
  failed(error: ProxyError): void
  /** It was reached. */
  reached(): void
  /** It was reached, as everybody is by datagrams, and then nobody was there. Absent: nothing is remembered of targets. */
  unanswered?(route: Route): void
}

/** What a chainer makes of a session's targets. There is at least one. */
export type Plan = (routes: readonly Route[], protocol: 'tcp' | 'udp') => Course

/** Squid's walk: all of them, as the router gave them. */
export const inOrder: Plan = routes => new ListCourse(routes)

/** Zorp's ConnectChainer: the first server. The addresses of one name are one server. */
export const firstServer: Plan = routes => {
  const end = routes.findIndex((route, at) => at > 0 && route.sameServer !== true)
  return new ListCourse(end < 0 ? routes : routes.slice(0, end))
}

/** Whose turn it is to be the first: it moves by one for each session, however many targets that session tries. */
export class Turn {
  #next = 0

  /** Beginning with another one each time. */
  rotated<T>(list: readonly T[]): readonly T[] {
    if (list.length < 2) return list
    const start = this.#next++ % list.length
    return [...list.slice(start), ...list.slice(0, start)]
  }
}

/** Zorp's MultiTargetChainer: each once. */
export const multiTarget =
  (turn: Turn): Plan =>
  routes =>
    new ListCourse(turn.rotated(routes))

export class ListCourse implements Course {
  readonly #routes: readonly Route[]
  #at = 0

  constructor(routes: readonly Route[]) {
    this.#routes = routes
  }

  get route(): Route | null {
    return this.#routes[this.#at] ?? null
  }

  get after(): Route | null {
    return this.#routes[this.#at + 1] ?? null
  }

  failed(): void {
    this.#at++
  }

  reached(): void {}
}
