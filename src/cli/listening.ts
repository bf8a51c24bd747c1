import { type Comm, COMM_REUSEADDR, COMM_TPROXY_LCL } from '../../comm/index.ts'
import { type Clock, type Endpoint, ms, sleep } from '../base/index.ts'
import type { Config, PortConfig, PortMode } from '../conf/index.ts'
import { createDispatcher, createListeners, type Dispatcher, type ListenerOptions, type Listeners } from '../dispatch/index.ts'
import { type NamedService, startSession } from '../service/index.ts'

// The ports of the present conf, each a listener entry whose service is the http proxy. A reload keeps the listeners
// that stay; those who are connected stay with the service they began with.

export interface ListeningPort {
  readonly name: string
  readonly mode: PortMode
  readonly endpoint: Endpoint
}

/** A port could not be opened. The message is a sentence for whoever wrote the conf. */
export class ListenFailed extends Error {
  override name = 'ListenFailed'
}

/** The kernel caps it at net.core.somaxconn. */
const backlog = 4096

export class Listening {
  readonly dispatcher: Dispatcher
  readonly #listeners: Listeners
  readonly #serviceOf: (port: PortConfig, config: Config) => NamedService
  #ports: readonly PortConfig[] = []
  #services: NamedService[] = []

  constructor(
    comm: Comm,
    failed: (error: unknown, where: string) => void,
    serviceOf: (port: PortConfig, config: Config) => NamedService,
  ) {
    this.dispatcher = createDispatcher({ comm, failed })
    this.#listeners = createListeners(this.dispatcher, startSession, failed)
    this.#serviceOf = serviceOf
  }

  get ports(): readonly ListeningPort[] {
    return this.#listeners.listening.map(({ name, endpoint }, at) => ({ name, endpoint, mode: this.#ports[at]?.mode ?? 'forward' }))
  }

  /** Throws ListenFailed; then everything is as it was. */
  use(config: Config): void {
    const services: NamedService[] = []
    const wanted = config.http_port.map(port => {
      const service = this.#serviceOf(port, config)
      services.push(service)
      return listenerOf(port, service)
    })
    const problems = this.#listeners.configure(wanted)
    if (problems.length > 0) throw new ListenFailed(problems.map(problem => problem.detail).join('; '))
    this.#ports = config.http_port
    // services of former confs are kept while they have sessions
    this.#services = [...this.#services.filter(service => service.running > 0), ...services]
  }

  /** No new connections, and no new requests on those that are there. */
  close(): void {
    this.#listeners.close()
    this.dispatcher.close()
    for (const service of this.#services) service.windUp()
  }

  /** Sessions of all services, former ones too. */
  get sessions(): number {
    return this.#services.reduce((sum, service) => sum + service.running, 0)
  }

  /** Resolves when no session is left, or after `graceMs`. */
  async drained(clock: Clock, graceMs: number): Promise<void> {
    const until = clock.mono() + graceMs
    while (this.sessions > 0 && clock.mono() < until) await sleep(clock, ms(50))
  }
}

const listenerOf = (port: PortConfig, service: NamedService): ListenerOptions => {
  const address = port.address ?? '::'
  return {
    name: port.name,
    bind: { family: address.includes(':') ? 6 : 4, address, port: port.port },
    parameters: {
      flags: COMM_REUSEADDR | (port.mode === 'tproxy' ? COMM_TPROXY_LCL : 0),
      dualStack: port.dualStack,
      backlog,
      natBackend: port.mode === 'intercept' ? 'netfilter' : port.mode === 'tproxy' ? 'getsockname' : 'none',
    },
    service,
    // whoever comes to an interception port itself gets a page that says so
    directHit: 'pass',
  }
}
