import { type Comm, COMM_REUSEADDR, COMM_REUSEPORT, COMM_TPROXY_LCL, createExpectations, type Expectations, type HandedIn, type Interfaces } from '../../comm/index.ts'
import { type Clock, type Endpoint, endpointText, ms, sameEndpoint, sleep } from '../base/index.ts'
import { type Config, type Diagnostic, type PortConfig, type PortMode, portsOf, type ReceiverConfig, type RelatedConnections, type TakingConfig } from '../conf/index.ts'
import {
  boundPlaces, clashesOf, createDispatcher, createListeners, type DatagramLimits, type Dispatcher, flowTimes, type ListenerOptions, type Listeners, type ListenParameters,
  priority, protocolOf, whyNotBound,
} from '../dispatch/index.ts'
import type { DebugLog } from '../log/index.ts'
import { type NamedService, type Session, startSession, undecided } from '../service/index.ts'
import type { SecondaryPort } from '../proxy/index.ts'
import type { LoadedConf } from './load-conf.ts'
import type { Services } from './services.ts'

// The http_port, https_port and listener lines of the present conf, each a listener entry with its service. A reload keeps the
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
  /** What sessions wait for. */
  readonly expectations: Expectations
  readonly #comm: Comm
  readonly #log: Pick<DebugLog, 'write' | 'limited' | 'warning'>
  readonly #listeners: Listeners
  readonly #servicesOf: (loaded: LoadedConf) => Services
  /** Each of several workers listens for itself, and the kernel shares out who comes. */
  readonly #sharesPorts: boolean
  #present: Present | null = null
  #services: NamedService[] = []
  #stopFollowing: () => void = () => {}

  constructor(
    comm: Comm,
    clock: Clock,
    log: Pick<DebugLog, 'write' | 'limited' | 'warning'>,
    failed: (error: unknown, where: string) => void,
    sharesPorts: boolean,
    servicesOf: (loaded: LoadedConf) => Services,
  ) {
    this.#comm = comm
    this.#log = log
    this.#sharesPorts = sharesPorts
    this.dispatcher = createDispatcher({ comm, failed, unclaimed: ({ peer }, bind) => this.#unclaimed(peer, bind) })
    this.expectations = createExpectations({
      clock,
      dispatcher: this.dispatcher,
      priority: priority.related,
      isLocal: comm.isLocalAddress,
      descriptorsLeft: () => comm.budget.acceptable,
      sharesPorts,
    })
    this.#listeners = createListeners(this.dispatcher, startSession, failed)
    this.#servicesOf = servicesOf
  }

  get ports(): readonly ListeningPort[] {
    return this.#listeners.listening.map(({ name, endpoint, options }) => ({ name, endpoint, mode: this.#present?.modes.get(options) ?? 'forward' }))
  }

  /** Throws ListenFailed; then everything is as it was. */
  use(loaded: LoadedConf): void {
    const { config } = loaded
    const services = this.#servicesOf(loaded)
    const wanted = wantedBy(config, services, () => this.#comm.interfaces, this.#sharesPorts)
    const unused = this.#comm.handedIn.filter(socket => !wanted.some(({ listener }) => isAt(listener, socket)))
    if (this.#present === null) {
      if (unused.length > 0) throw new ListenFailed(`${handedInText(unused)}: handed in, and no http_port or listener line is at that address`)
      this.#useRelated(config.related_connections)
    }
    const problems = this.#listeners.configure(wanted.map(({ listener }) => listener))
    if (problems.length > 0) {
      if (this.#present === null) this.stop()
      throw new ListenFailed(problems.map(problem => problem.detail).join('; '))
    }
    if (unused.length > 0) this.#log.warning('dispatch', `${handedInText(unused)}: handed in, and no line is at that address any more: who connects waits in vain`)
    if (this.#present === null && this.#comm.handedIn.length > 0) this.#log.write('dispatch', 1, `${handedInText(this.#comm.handedIn)}: handed in by whoever started us`)
    this.#present = { config, services, modes: modesOf(wanted) }
    // services of former confs are kept while they have sessions
    this.#services = [...this.#services.filter(service => service.running > 0), ...services.all]
    this.#stopFollowing()
    this.#stopFollowing = takers(config).some(followsInterfaces) ? this.#comm.interfaces.onChange(() => this.#follow()) : () => {}
    for (const line of takers(config).filter(followsInterfaces)) {
      if (!wanted.some(({ from }) => from === line)) this.#log.warning('dispatch', `${line.text}: no such interface has an address yet`)
    }
  }

  /** Where sessions wait by sets, the listener that serves them is opened, which takes nothing else. */
  #useRelated(related: RelatedConnections): void {
    if (related.form === 'sockets') return
    if (this.#sharesPorts) throw new ListenFailed('related_connections nft_sets: one listener serves them all, and with workers the kernel would give it to any of them; use sockets')
    const at: Endpoint = { family: 6, address: '::', port: related.port }
    const added = this.dispatcher.add(at, parametersOf('tproxy', true, backlog, false), { accept: () => 'declined' }, priority.listen)
    if (!added.ok) throw new ListenFailed(`related_connections: ${added.detail}`)
    try {
      this.expectations.useSet({ elements: this.#comm.openExpectSet(), port: related.port })
    } catch (error) {
      added.registered.remove()
      throw new ListenFailed(`related_connections: ${error instanceof Error ? error.message : String(error)}`)
    }
  }

  /** Addresses have come or gone: those of interfaces that are listened on get a listener, or lose theirs. */
  #follow(): void {
    const { config, services } = this.#present ?? {}
    if (config === undefined || services === undefined) return
    const before = this.#endpoints()
    const wanted = wantedBy(config, services, () => this.#comm.interfaces, this.#sharesPorts)
    const problems = this.#listeners.follow(wanted.map(({ listener }) => listener))
    this.#present = { config, services, modes: modesOf(wanted) }
    const after = this.#endpoints()
    for (const text of after) if (!before.has(text)) this.#log.write('dispatch', 1, `listening on ${text}: the address has come`)
    for (const text of before) if (!after.has(text)) this.#log.write('dispatch', 1, `no longer listening on ${text}: the address has gone`)
    for (const { detail } of problems) this.#log.limited(`follow ${detail}`, 'dispatch', 1, `WARNING: ${detail}`)
  }

  #endpoints(): Set<string> {
    return new Set(this.#listeners.listening.map(({ endpoint }) => endpointText(endpoint)))
  }

  #unclaimed(peer: Endpoint, bind: Endpoint): void {
    this.#log.limited(`unclaimed ${endpointText(bind)}`, 'dispatch', 1, `connection from ${endpointText(peer)} to ${endpointText(bind)} refused: nobody waits for it`)
  }

  /** Where the session's connection came in; null when that listener has gone, or is bound to a device. */
  portOf({ client, portName }: Session): SecondaryPort | null {
    const { protocol, local } = client
    const named = this.#listeners.listening.filter(({ name, options }) => name === portName && protocolOf(options.parameters) === protocol)
    const found = named.length === 1 ? named[0] : named.find(({ endpoint }) => sameEndpoint(endpoint, local))
    if (found === undefined || found.options.parameters.device !== undefined) return null
    const { endpoint, options } = found
    return {
      key: `${protocol} ${endpointText(endpoint)} ${portName}`,
      register: entry => this.dispatcher.join(endpoint, entry, priority.secondary, protocol, false),
      decide: (connection, service) => {
        // of a former conf: who comes now is the present one's
        if (this.#present?.services.all.some(one => one === service) !== true) return null
        if (typeof options.service !== 'function') return options.service === service ? undecided : null
        const decision = options.service.decide?.(connection, portName) ?? null
        return decision?.service === service ? decision.decided : null
      },
    }
  }

  /** No new connections, and no new requests on those that are there. */
  close(): void {
    this.#stopFollowing()
    this.#listeners.close()
    for (const service of this.#services) service.windUp()
  }

  /** When no session is left that could want it. */
  stop(): void {
    this.expectations.close()
    this.dispatcher.close()
  }

  /** Sessions of all services, former ones too. */
  get sessions(): number {
    return this.#services.reduce((sum, service) => sum + service.running, 0)
  }

  /** All of them, also of services of former confs. */
  get services(): readonly NamedService[] {
    return this.#services
  }

  /** Resolves when no session is left, or after `graceMs`. */
  async drained(clock: Clock, graceMs: number): Promise<void> {
    const until = clock.mono() + graceMs
    while (this.sessions > 0 && clock.mono() < until) await sleep(clock, ms(50))
  }
}

/** What the present listeners come from. */
interface Present {
  readonly config: Config
  readonly services: Services
  readonly modes: ReadonlyMap<ListenerOptions, ListeningPort['mode']>
}

interface Wanted {
  readonly from: PortConfig | TakingConfig
  readonly mode: ListeningPort['mode']
  readonly listener: ListenerOptions
}

const modesOf = (wanted: readonly Wanted[]): Present['modes'] => new Map(wanted.map(({ listener, mode }) => [listener, mode]))

const followsInterfaces = (line: TakingConfig): boolean => line.bind.place.kind !== 'address'

/**
 * Lines that cannot stand beside each other, as far as that can be told before this machine's interfaces are asked: who
 * only reads a conf is told of them as well.
 */
export const clashingLines = (config: Config): readonly Diagnostic[] => {
  const byAddress = ({ bind: { place } }: TakingConfig): boolean => place.kind === 'address'
  const known = { ...config, listener: config.listener.filter(byAddress), receiver: config.receiver.filter(byAddress) }
  const nobody = (): 'declined' => 'declined'
  const services = { named: () => nobody, ofPort: () => nobody, byRules: nobody }
  const notAsked = (): Interfaces => {
    throw new RangeError('an address needs no interface')
  }
  const wanted = wantedBy(known, services, notAsked, config.workers > 1)
  return clashesOf(wanted.map(({ listener }) => listener)).flatMap(({ options, detail }) => {
    const from = wanted.find(({ listener }) => listener === options)?.from
    return from === undefined ? [] : [{ severity: 'fatal', at: from.at, message: detail, hint: '' } satisfies Diagnostic]
  })
}

const wantedBy = (
  config: Config,
  services: Pick<Services, 'named' | 'ofPort' | 'byRules'>,
  interfaces: () => Interfaces,
  shared: boolean,
): readonly Wanted[] => [
  ...portsOf(config).map(port => ({ from: port, mode: port.mode, listener: portListener(port, services.ofPort(port), shared, config.accept_filter) })),
  ...config.listener.flatMap(line => {
    const { taken, backlog: waiting } = line
    const listeners = lineListeners(line, dualStack => parametersOf(taken, dualStack, waiting, shared), services, interfaces)
    return listeners.map(listener => ({ from: line, mode: taken, listener }))
  }),
  ...config.receiver.flatMap(line => {
    const datagrams = limitsOf(line)
    const receivers = lineListeners(line, dualStack => ({ ...parametersOf(line.taken, dualStack, 0, shared), datagrams }), services, interfaces)
    return receivers.map(listener => ({ from: line, mode: line.taken, listener }))
  }),
]

const takers = (config: Config): readonly TakingConfig[] => [...config.listener, ...config.receiver]

const limitsOf = ({ bufferBytes, flowsMax, flowsPerClientMax, idleTimeout }: ReceiverConfig): DatagramLimits => ({
  bufferBytes,
  flowsMax,
  flowsPerClientMax,
  timesOf: flowTimes(idleTimeout),
})

const portListener = (port: PortConfig, service: ListenerOptions['service'], shared: boolean, deferSeconds: number): ListenerOptions => {
  const address = port.address ?? '::'
  return {
    name: port.name,
    place: placeOf(port),
    bind: { family: address.includes(':') ? 6 : 4, address, port: port.port },
    parameters: {
      ...parametersOf(port.mode, port.dualStack, backlog, shared, port.introduced),
      ...(deferSeconds > 0 ? { deferSeconds } : {}),
    },
    service,
    // whoever comes to an interception port itself gets a page that says so
    directHit: 'pass',
  }
}

/** One for each port and address of its bind. */
const lineListeners = (
  line: TakingConfig,
  parameters: (dualStack: boolean) => ListenParameters,
  services: Pick<Services, 'named' | 'byRules'>,
  interfaces: () => Interfaces,
): readonly ListenerOptions[] => {
  const why = whyNotBound(line.bind, interfaces)
  if (why !== null) throw new ListenFailed(`${line.text}: ${why}`)
  const service = line.service === null ? services.byRules : services.named(line.service)
  return boundPlaces(line.bind, interfaces).map(({ endpoint, device, dualStack }) => ({
    name: line.name,
    place: placeOf(line),
    priority: line.priority,
    bind: endpoint,
    parameters: { ...parameters(dualStack), ...(device === null ? {} : { device }) },
    service,
    directHit: 'close',
  }))
}

const isAt = ({ bind, parameters }: ListenerOptions, { endpoint, device }: HandedIn): boolean =>
  protocolOf(parameters) === 'tcp' && sameEndpoint(bind, endpoint) && (parameters.device ?? '') === device

const handedInText = (sockets: readonly HandedIn[]): string =>
  sockets.map(({ name, endpoint }) => `socket ${endpointText(endpoint)}${name === '' ? '' : ` (${name})`}`).join(', ')

const placeOf = ({ at }: PortConfig | TakingConfig): string => `${at.file}(${at.line})`

/** `introduced`: where clients were going is told by whoever passes them on. */
const parametersOf = (mode: ListeningPort['mode'], dualStack: boolean, backlog: number, shared: boolean, introduced = false): ListenParameters => ({
  flags: COMM_REUSEADDR | (shared ? COMM_REUSEPORT : 0) | (mode === 'tproxy' && !introduced ? COMM_TPROXY_LCL : 0),
  dualStack,
  backlog,
  natBackend: introduced ? 'none' : mode === 'intercept' ? 'netfilter' : mode === 'tproxy' ? 'getsockname' : 'none',
})
