import { type Comm, COMM_REUSEADDR, COMM_TPROXY_LCL } from '../../comm/index.ts'
import { type Clock, type Endpoint, ms, sleep } from '../base/index.ts'
import type { Config, ListenerConfig, PortConfig, PortMode } from '../conf/index.ts'
import {
  createDispatcher, createListeners, type Dispatcher, type ListenerOptions, type Listeners, type ListenParameters,
} from '../dispatch/index.ts'
import { type NamedService, startSession } from '../service/index.ts'
import type { Services } from './services.ts'

// The http_port and listener lines of the present conf, each a listener entry with its service. A reload keeps the
// listeners that stay; those who are connected stay with the service they began with.

export interface ListeningPort {
  readonly name: string
  readonly mode: PortMode | 'direct'
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
  readonly #servicesOf: (config: Config) => Services
  #ports: readonly Wanted[] = []
  #services: NamedService[] = []

  constructor(
    comm: Comm,
    failed: (error: unknown, where: string) => void,
    servicesOf: (config: Config) => Services,
  ) {
    this.dispatcher = createDispatcher({ comm, failed })
    this.#listeners = createListeners(this.dispatcher, startSession, failed)
    this.#servicesOf = servicesOf
  }

  get ports(): readonly ListeningPort[] {
    return this.#listeners.listening.map(({ name, endpoint }, at) => ({ name, endpoint, mode: this.#ports[at]?.mode ?? 'forward' }))
  }

  /** Throws ListenFailed; then everything is as it was. */
  use(config: Config): void {
    const services = this.#servicesOf(config)
    const wanted = wantedBy(config, services)
    const problems = this.#listeners.configure(wanted.map(({ listener }) => listener))
    if (problems.length > 0) throw new ListenFailed(problems.map(problem => problem.detail).join('; '))
    this.#ports = wanted
    // services of former confs are kept while they have sessions
    this.#services = [...this.#services.filter(service => service.running > 0), ...services.all]
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

interface Wanted {
  readonly mode: ListeningPort['mode']
  readonly listener: ListenerOptions
}

const wantedBy = (config: Config, services: Services): readonly Wanted[] => [
  ...config.http_port.map(port => ({ mode: port.mode, listener: portListener(port, services.ofPort(port)) })),
  ...config.listener.map(line => ({ mode: line.taken, listener: lineListener(line, services) })),
]

const portListener = (port: PortConfig, service: NamedService): ListenerOptions => {
  const address = port.address ?? '::'
  return {
    name: port.name,
    bind: { family: address.includes(':') ? 6 : 4, address, port: port.port },
    parameters: parametersOf(port.mode, port.dualStack, backlog),
    service,
    // whoever comes to an interception port itself gets a page that says so
    directHit: 'pass',
  }
}

const lineListener = (line: ListenerConfig, services: Services): ListenerOptions => {
  const { place, first, last } = line.bind
  if (place.kind !== 'address' || first !== last) throw new ListenFailed(`${line.text}: such a bind is not listened on yet`)
  if (line.service === null) throw new ListenFailed(`${line.text}: there are no rules yet`)
  const address = place.address ?? '::'
  return {
    name: line.name,
    place: `${line.at.file}:${line.at.line}`,
    priority: line.priority,
    bind: { family: address.includes(':') ? 6 : 4, address, port: first },
    parameters: parametersOf(line.taken, place.dualStack, line.backlog),
    service: services.named(line.service),
    directHit: 'close',
  }
}

const parametersOf = (mode: ListeningPort['mode'], dualStack: boolean, backlog: number): ListenParameters => ({
  flags: COMM_REUSEADDR | (mode === 'tproxy' ? COMM_TPROXY_LCL : 0),
  dualStack,
  backlog,
  natBackend: mode === 'intercept' ? 'netfilter' : mode === 'tproxy' ? 'getsockname' : 'none',
})
