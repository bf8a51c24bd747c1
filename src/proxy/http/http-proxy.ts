import type { Session } from '../../service/session.ts'
import type { Proxy } from '../proxy.ts'
import { HttpClient } from './client.ts'
import type { HttpDeps } from './deps.ts'
import type { HttpPort } from './policy.ts'

/** The http proxy as one listening port has it: forward, intercepted or accelerating. */
export const createHttpProxy = (deps: HttpDeps, port: HttpPort): Proxy => new HttpProxy(deps, port)

class HttpProxy implements Proxy {
  readonly name = 'http'
  readonly #deps: HttpDeps
  readonly #port: HttpPort
  readonly #clients = new Set<HttpClient>()
  #draining = false

  constructor(deps: HttpDeps, port: HttpPort) {
    this.#deps = deps
    this.#port = port
  }

  run(session: Session): void {
    const client = new HttpClient(this.#deps, this.#port, session, this.#gone)
    this.#clients.add(client)
    if (this.#draining) client.drain()
  }

  drain(): void {
    this.#draining = true
    for (const client of this.#clients) client.drain()
  }

  readonly #gone = (client: HttpClient): void => {
    this.#clients.delete(client)
  }
}
