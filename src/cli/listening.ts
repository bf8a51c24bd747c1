import {
  type Comm, COMM_REUSEADDR, COMM_TPROXY_LCL, CommError, type Connection, type Listener, type ListenOptions,
} from '../../comm/index.ts'
import { type Clock, type Endpoint, endpointText, ms, sleep } from '../base/index.ts'
import type { Config, PortConfig, PortMode } from '../conf/index.ts'
import { type NamedService, startSession } from '../service/index.ts'

// The ports of the present conf. A reload keeps the listeners that stay, so that no connection is refused meanwhile;
// those who are connected stay with the service they began with.

export interface ListeningPort {
  readonly name: string
  readonly mode: PortMode
  readonly endpoint: Endpoint
}

interface Port {
  readonly key: string
  readonly listener: Listener
  config: PortConfig
  service: NamedService
}

/** The kernel caps it at net.core.somaxconn. */
const backlog = 4096

export class Listening {
  readonly #comm: Comm
  readonly #serviceOf: (port: PortConfig, config: Config) => NamedService
  #ports: Port[] = []
  /** Services of former confs that still have sessions. */
  #former: NamedService[] = []

  constructor(comm: Comm, serviceOf: (port: PortConfig, config: Config) => NamedService) {
    this.#comm = comm
    this.#serviceOf = serviceOf
  }

  get ports(): readonly ListeningPort[] {
    return this.#ports.map(({ config, listener }) => ({ name: config.name, mode: config.mode, endpoint: listener.endpoint }))
  }

  /** Opens what is new before anything is changed or closed. Throws CommError. */
  use(config: Config): void {
    const opened: Port[] = []
    const kept: { port: Port; config: PortConfig }[] = []
    try {
      for (const wanted of config.http_port) {
        const key = keyOf(wanted)
        const standing = this.#ports.find(port => port.key === key)
        if (standing !== undefined) kept.push({ port: standing, config: wanted })
        else opened.push(this.#open(wanted, key, config))
      }
    } catch (error) {
      for (const port of opened) port.listener.close()
      throw error
    }
    const next = [...opened, ...kept.map(({ port }) => port)]
    for (const port of this.#ports) if (!next.includes(port)) port.listener.close()
    this.#former = [...this.#former, ...this.#ports.map(port => port.service)].filter(service => service.running > 0)
    for (const { port, config: wanted } of kept) {
      port.config = wanted
      port.service = this.#serviceOf(wanted, config)
    }
    this.#ports = next
  }

  close(): void {
    for (const port of this.#ports) port.listener.close()
  }

  /** Sessions of all services, former ones too. */
  get sessions(): number {
    return [...this.#former, ...this.#ports.map(port => port.service)].reduce((sum, service) => sum + service.running, 0)
  }

  /** Resolves when no session is left, or after `graceMs`. */
  async drained(clock: Clock, graceMs: number): Promise<void> {
    const until = clock.mono() + graceMs
    while (this.sessions > 0 && clock.mono() < until) await sleep(clock, ms(50))
  }

  #open(wanted: PortConfig, key: string, config: Config): Port {
    const listener = this.#comm.listen(listenOptions(wanted), connection => this.#accepted(port, connection))
    const port: Port = { key, listener, config: wanted, service: this.#serviceOf(wanted, config) }
    return port
  }

  #accepted(port: Port, connection: Connection): void {
    startSession(port.service, connection, port.config.name)
  }
}

/** What a listener cannot change while it stands. */
const keyOf = (port: PortConfig): string => {
  const options = listenOptions(port)
  return `${endpointText(options.endpoint)} ${options.flags} ${options.dualStack} ${options.natBackend}`
}

const listenOptions = (port: PortConfig): ListenOptions => {
  if (port.hostName !== null) throw new CommError('EINVAL', 'listen', `http_port ${port.text}: write an address instead of a name`)
  const address = port.address ?? '::'
  return {
    endpoint: { family: address.includes(':') ? 6 : 4, address, port: port.port },
    flags: COMM_REUSEADDR | (port.mode === 'tproxy' ? COMM_TPROXY_LCL : 0),
    dualStack: port.dualStack,
    backlog,
    natBackend: port.mode === 'intercept' ? 'netfilter' : port.mode === 'tproxy' ? 'getsockname' : 'none',
    note: `http_port ${port.name}`,
  }
}
