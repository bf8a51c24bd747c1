import type { Connection } from '../../comm/index.ts'
import { AccessFacts, isWithin } from '../acl/index.ts'
import type { Clock, Endpoint } from '../base/index.ts'
import { type Chainer, createSideStackChainer, noServerPolicy, type ServerPolicy } from '../chainer/index.ts'
import { type Config, type PortConfig, type PortTls, type ProxyKind, portsOf, type RouterConfig, type ServiceConfig, type StackConfig } from '../conf/index.ts'
import { createDenyProxy, createHttpProxy, createInterceptedTlsProxy, createPlugProxy, createTlsProxy, plainPlug, type HttpDeps, type PlugDeps, type PlugStack, type PortBump, type Proxy, type TlsDeps } from '../proxy/index.ts'
import { createDirectedRouter, createInbandRouter, createTransparentRouter, type Lookup, type Router } from '../router/index.ts'
import { type Census, createService, type NamedService, type ServiceOptions, type SessionLimits, type SessionRecord, startSession } from '../service/index.ts'
import { type ChainerParts, chainerOf, connectLine } from './chainers.ts'
import { detectorOf, startByRules, startIntroduced, type StartHere, type StartParts, startService } from '../dispatch/index.ts'
import { httpPortOf, servicePort } from './http-port.ts'
import type { CompiledPolicy } from './http-policy.ts'
import type { Mints, Shown } from '../tls/index.ts'
import type { PortIdentity } from './port-identities.ts'
import { startInside, startStacked } from './stacked.ts'

// From the lines of a conf to services: each service line, and each http_port line, which is one of its own kind.

/** What services are made of, the same for all of them and for every conf. */
export interface ServiceParts extends ChainerParts {
  readonly http: HttpDeps
  readonly plug: PlugDeps
  readonly tls: TlsDeps
  readonly lookup: Lookup
  readonly census: Census
  /** Whoever wants to know of the end of sessions. */
  readonly sessions: {
    readonly ended: (record: SessionRecord) => void
    readonly refused: (record: SessionRecord, detail: string) => void
  }
  /** The certificates that were made, which outlive their conf. */
  readonly mints: Mints
  readonly failed: (error: unknown, where: string) => void
  /** Of a connection that was not introduced as it should be. */
  readonly introduction: (why: string) => void
}

/** The services of one conf, as its listeners start them. */
export interface Services {
  /** That of a service line; names know no case, and the conf has checked that it is there. */
  named(name: string): NamedService | StartHere
  ofPort(port: PortConfig): NamedService | StartHere
  /** Whichever the rules say. */
  readonly byRules: StartHere
  readonly all: readonly NamedService[]
}

export const servicesOf = (config: Config, parts: ServiceParts, policy: CompiledPolicy): Services => {
  const build = new Build(config, parts, policy)
  const byName = new Map(config.service.map(line => [line.name.toLowerCase(), build.service(line)]))
  parts.mints.begin()
  const byPort = new Map(portsOf(config).map(port => [port, build.portService(port)]))
  parts.mints.end()
  const serviceNamed = (name: string): NamedService => {
    const found = byName.get(name.toLowerCase())
    if (found === undefined) throw new RangeError(`no service is named ${name}`)
    return found
  }
  const { comm, clock, http } = parts
  const starting: StartParts = {
    rules: policy.rules,
    zones: policy.zones,
    detectors: new Map(config.detector.map(line => [line.name.toLowerCase(), detectorOf(line)])),
    serviceNamed,
    startSession,
    interfaces: () => comm.interfaces,
    clock,
  }
  return {
    named: name => startService(serviceNamed(name), starting, true),
    ofPort(port) {
      const found = byPort.get(port)
      if (found === undefined) throw new RangeError(`${port.text} is no line of this conf`)
      const start = startService(found, starting, false)
      if (!port.introduced) return start
      const startHere: StartHere = typeof start === 'function' ? start : (connection, portName) => startSession(start, connection, portName)
      return startIntroduced(startHere, {
        clock,
        mayIntroduce: (connection, portName) => http.policy.current.access.introducing.checkFast(factsOf(connection, portName, clock)).allowed,
        timeout: () => http.policy.current.timeouts.requestStart,
        intercepts: port.mode === 'intercept' || port.mode === 'tproxy',
        complain: parts.introduction,
      })
    },
    byRules: startByRules(starting),
    all: [...byName.values(), ...byPort.values()],
  }
}

/** Before there is a request. */
const factsOf = (connection: Connection, portName: string, clock: Clock): AccessFacts => {
  const facts = new AccessFacts(connection.peer, connection.local, portName)
  facts.now = clock.wall()
  return facts
}

/** Of all services together. */
export const limitsOf = (config: Config): SessionLimits => ({
  sessionsMax: config.max_sessions,
  // 0 is one, as in Squid, and not what 0 is for the services: no limit
  sessionsPerClientMax: config.client_ip_max_connections < 0 ? 0 : Math.max(1, config.client_ip_max_connections),
  sessionsPerZoneMax: 0,
})

class Build {
  readonly #config: Config
  readonly #parts: ServiceParts
  readonly #policy: CompiledPolicy

  constructor(config: Config, parts: ServiceParts, policy: CompiledPolicy) {
    this.#config = config
    this.#parts = parts
    this.#policy = policy
  }

  service(line: ServiceConfig): NamedService {
    return createService({
      name: line.name,
      proxy: this.#proxy(line),
      router: line.proxy === 'forward' ? this.#inTheirName(line.name) : this.#router(line.router),
      chainer: this.#chainer(line),
      sessionsMax: line.sessionsMax,
      sessionsPerClientMax: line.sessionsPerClientMax,
      sessionsPerZoneMax: line.sessionsPerZoneMax,
      keepalive: line.keepalive === 'client' || line.keepalive === 'both',
      ...this.#common(),
    })
  }

  portService(port: PortConfig): NamedService {
    return createService({
      name: port.name,
      proxy: this.#portProxy(port),
      router: this.#portRouter(port),
      chainer: chainerOf(undefined, this.#config, this.#parts),
      ...this.#common(),
    })
  }

  #portProxy(port: PortConfig): Proxy {
    const { http, tls } = this.#parts
    const identity = port.tls === null ? undefined : this.#policy.identities.get(port.tls)
    const receiveBytes = this.#config.tcp_recv_bufsize
    if (port.tls === null || identity === undefined) return createHttpProxy(http, httpPortOf(port, receiveBytes, null))
    const { usual, contextFor, clients } = identity.server
    const shown: Shown = { usual, contextFor, clients }
    if (!port.tls.bump) return createTlsProxy(tls, shown, createHttpProxy(http, httpPortOf(port, receiveBytes, null)))
    const bumping = httpPortOf(port, receiveBytes, this.#portBump(port.tls, identity, shown))
    return port.tls.fromStart ? createInterceptedTlsProxy(http, bumping) : createHttpProxy(http, bumping)
  }

  #portBump(tls: PortTls, { server, authority }: PortIdentity, own: Shown): PortBump {
    const { http, clock } = this.#parts
    const mint =
      authority === null
        ? null
        : this.#parts.mints.of({ authority, bytesMax: tls.generatedBytesMax, hash: this.#policy.signing.hash, now: () => clock.wall(), context: server.manner })
    return { mint, own, signing: this.#policy.signing, startInside: (owner, client, port) => startInside(owner, client, createHttpProxy(http, port)) }
  }

  #common(): Pick<ServiceOptions, 'clock' | 'failed' | 'census' | 'zoneOf' | 'onEnd' | 'onRefused'> {
    const { clock, failed, census, sessions } = this.#parts
    const zoneOf = (address: string) => this.#policy.zones.ofAddress(address)?.name ?? null
    return { clock, failed, census, zoneOf, onEnd: sessions.ended, onRefused: sessions.refused }
  }

  #proxy(line: ServiceConfig): Proxy {
    const { http, plug } = this.#parts
    switch (line.proxy) {
      case 'http':
        return this.#httpProxy(http, this.#routerLine(line.router)?.kind === 'directed')
      case 'plug':
        return createPlugProxy(plug, { ...line, stack: this.#program(line) })
      case 'forward':
        return createPlugProxy(plug, plainPlug)
      case 'deny':
        // what the kernel was to refuse came through all the same
        return createDenyProxy(line.denyKind === 'close' ? 'close' : 'reset')
    }
  }

  /** One service may have listeners of several kinds: how a connection was taken says which way of http it speaks. */
  #httpProxy(deps: HttpDeps, directed: boolean): Proxy {
    const buffer = this.#config.tcp_recv_bufsize
    const proxies = {
      tproxy: createHttpProxy(deps, servicePort('tproxy', directed, buffer)),
      nat: createHttpProxy(deps, servicePort('intercept', directed, buffer)),
      direct: createHttpProxy(deps, servicePort(directed ? 'accel' : 'forward', directed, buffer)),
    }
    return { name: 'http', run: session => proxies[session.taken].run(session) }
  }

  /** Intercepted: where the client was going, with its own address for tproxy. Else: where the request says. */
  #portRouter(port: PortConfig): Router {
    const { lookup } = this.#parts
    const isOwn = this.#parts.comm.isOwnEndpoint
    return port.mode === 'intercept' || port.mode === 'tproxy'
      ? createTransparentRouter({ name: 'transparent', forgeAddress: port.mode === 'tproxy' && !port.introduced, isOwn, overridable: lookup, peerLookup: lookup })
      : createInbandRouter({ name: 'inband', forgeAddress: false, isOwn, lookup, peerLookup: lookup })
  }

  /** What the kernel would have forwarded has both its ends' addresses. */
  #inTheirName(name: string): Router {
    return createTransparentRouter({ name, forgeAddress: true, isOwn: this.#parts.comm.isOwnEndpoint })
  }

  #routerLine(name: string): RouterConfig | undefined {
    return this.#config.router.find(line => line.name.toLowerCase() === name.toLowerCase())
  }

  #router(name: string): Router {
    const line = this.#routerLine(name)
    const { lookup, comm: { isOwnEndpoint: isOwn } } = this.#parts
    const common = { name: line?.name ?? name, isOwn, peerLookup: lookup, forgeAddress: line?.forgeAddr ?? false, forgePort: line?.forgePort ?? 'any' }
    const kind = line?.kind ?? (name.toLowerCase() === 'inband' ? 'inband' : 'transparent')
    if (kind === 'inband') return createInbandRouter({ ...common, lookup })
    const overridable = line?.overridable === true ? lookup : null
    if (kind === 'transparent') return createTransparentRouter({ ...common, overridable, forcedPort: line?.forcedPort ?? 0 })
    const [first, ...others] = line?.targets ?? []
    if (first === undefined) throw new RangeError(`${name} has no targets`)
    return createDirectedRouter({ ...common, overridable, targets: [first, ...others] })
  }

  #stackLine(line: ServiceConfig): StackConfig | undefined {
    const { stack } = line
    return stack === null ? undefined : this.#config.stack.find(one => one.name.toLowerCase() === stack.toLowerCase())
  }

  #program(line: ServiceConfig): PlugStack | null {
    const stack = this.#stackLine(line)
    if (stack === undefined || stack.program === null) return null
    return { name: stack.name, command: stack.program, direction: stack.direction, timeout: stack.timeout }
  }

  /** A stacked proxy stands between the service's own and its chainer. */
  #chainer(line: ServiceConfig): Chainer {
    const { keepalive } = line
    const chainer = this.#chainerNamed(line.chainer, this.#serverPolicy(line), keepalive === 'server' || keepalive === 'both')
    const right = this.#stackLine(line)?.proxy ?? null
    return right === null ? chainer : this.#sideStack(`stack ${line.stack}`, right, chainer)
  }

  #chainerNamed(name: string, policy: ServerPolicy, keepalive: boolean): Chainer {
    const key = name.toLowerCase()
    const line = this.#config.chainer.find(one => one.name.toLowerCase() === key) ?? connectLine
    if (line.rightProxy === null) return chainerOf(line, this.#config, this.#parts, policy, keepalive)
    // the conf has been checked for chainers that lead to themselves
    return this.#sideStack(line.name, line.rightProxy, this.#chainerNamed(line.rightChainer, policy, keepalive))
  }

  #sideStack(name: string, right: ProxyKind, chainer: Chainer): Chainer {
    const { comm, clock } = this.#parts
    const proxy = this.#rightProxy(right)
    return createSideStackChainer({
      name,
      clock,
      pair: comm.pair,
      startRight: (owner, client, routes) => startStacked(owner, client, proxy, chainer, routes),
    })
  }

  #rightProxy(kind: ProxyKind): Proxy {
    const { http, plug } = this.#parts
    switch (kind) {
      case 'http':
        return this.#httpProxy(http, true)
      case 'plug':
        return createPlugProxy(plug, plainPlug)
      case 'deny':
        return createDenyProxy('reset')
    }
  }

  /** NAT, then the zone of the target as it is after that. */
  #serverPolicy({ name, snat, dnat, limitTargetZones }: ServiceConfig): ServerPolicy {
    const { zones, nat } = this.#policy
    if (snat === null && dnat === null && zones.zones.length === 0) return noServerPolicy
    const limits = limitTargetZones.flatMap(zone => zones.named(zone) ?? [])
    const denies = ({ address }: Endpoint): string => {
      const zone = zones.ofAddress(address)
      const where = zone === null ? 'no zone' : `zone ${zone.name}`
      if (limits.length > 0 && !limits.some(limit => isWithin(zone, limit))) return `${address} is in ${where}, where ${name} may not go`
      return zones.permits(zone, 'inbound', name) ? '' : `${address} is in ${where}, whose servers may not be reached by ${name}`
    }
    const policyOf = (of: string | null) => (of === null ? null : (nat.get(of) ?? null))
    return { nat: { snat: policyOf(snat), dnat: policyOf(dnat) }, denies }
  }
}
