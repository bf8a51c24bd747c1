import { readdirSync } from 'node:fs'
import { type Comm, createComm, type HandedIn, createNeighbours } from '../../comm/index.ts'
import { AccessFacts } from '../acl/index.ts'
import { type Clock, Deadlines, type DurationMs, endpointText, secondsToMs, watchClockSteps } from '../base/index.ts'
import { answerPage, managerPath } from '../admin/index.ts'
import { Collapse, type SharedChanges } from '../cache/index.ts'
import { Availability, Beside, type CheckOutcome, createOriginPool, TargetStates } from '../chainer/index.ts'
import { type Config, portsOf } from '../conf/index.ts'
import { expectsAnswers } from '../dispatch/index.ts'
import type { HelperDeps } from '../helper/index.ts'
import type { DebugLog } from '../log/index.ts'
import { History, Manager } from '../manager/index.ts'
import { type HttpDeps, type HttpPolicy, NamePatience, type ProgramDeps, retire, ValidationsBehind } from '../proxy/index.ts'
import { Icap } from '../icap/index.ts'
import { Census, type Session } from '../service/index.ts'
import { icapClient, icapDial, icapServicesOf, icapSettings } from './adaptation.ts'
import { AccessLogs, type Recorder } from './access-logs.ts'
import { Alarms } from './alarms.ts'
import { watchesOf } from './chainers.ts'
import { connectionMarkOf } from './connection-mark-of.ts'
import { httpNotices } from './http-notices.ts'
import { Mints, SecureConnection } from '../tls/index.ts'
import { issuerSource } from './issuer-source.ts'
import { beginOutgoingTls } from './tls-outgoing.ts'
import { Listening, type ListeningPort } from './listening.ts'
import type { LoadedConf } from './load-conf.ts'
import { explainPage } from './explain-page.ts'
import { registerConf } from './conf-pages.ts'
import { registerConnections } from './connection-pages.ts'
import { diskSums, registerPages } from './manager-pages.ts'
import { registerNames } from './name-pages.ts'
import { objectsPage } from './objects-page.ts'
import { IcpPort } from './icp.ts'
import { besideLimits, originLimits } from './origin-limits.ts'
import { Outcomes } from './outcomes.ts'
import { PeerKeeper } from './peer-keeper.ts'
import { serverListPage } from './peer-pages.ts'
import { possibleKeys, purgePage } from './purge-page.ts'
import { Naming } from './naming.ts'
import { plugHint } from './plug-hint.ts'
import type { Programs } from './programs.ts'
import { limitsOf, type ServiceParts, servicesOf } from './services.ts'
import { KeyLogs } from './key-logs.ts'
import { SessionLogs } from './session-log.ts'
import { startInside } from './stacked.ts'
import { registerSessions } from './session-pages.ts'
import { StoreLogs } from './store-log.ts'
import { lender, openStores, tiersWith } from './stores.ts'

// The whole machine from a conf. Rooms know each other by type only; here they are handed to one another:
//
//   comm ◄── dispatcher ──► service ──► proxy ──► router ──► chainer ──► origin pool ──► comm
//                                        └──► store, collapse, access lists, access log
//
// A reload puts new values and new services into the standing machine; nothing that lives is closed for it.

export interface MachineOptions {
  readonly clock: Clock
  readonly log: DebugLog
  /** 'auto': native where the addon loads. */
  readonly engine?: 'native' | 'node' | 'auto'
  /** One of several: it shares its ports with them. Absent: it is alone. */
  readonly worker?: { readonly number: number; readonly count: number; readonly changes: SharedChanges | null; readonly upBefore: DurationMs }
  /** Sockets for its ports, from whoever started it. */
  readonly handedIn?: readonly HandedIn[]
  /** Beside the access log, for tests. */
  readonly record?: Recorder
  /** A log the conf insists on (on-error=die) has lost a line: the machine goes on, whoever made it must end it. */
  readonly fatal?: (message: string) => void
}

export interface Machine {
  readonly comm: Comm
  /** Whoever has something to show or to do registers it here. */
  readonly manager: Manager
  readonly ports: readonly ListeningPort[]
  readonly sessions: number
  /** Validations under way that no client waits for. */
  readonly validationsBehind: number
  /** The new conf from here on; throws ListenFailed when a port cannot be opened, and then nothing has changed. */
  reload(loaded: LoadedConf): void
  rotate(): void
  /** No new connections; resolves when the open ones have ended, at the latest after `graceMs`. */
  stop(graceMs: number): Promise<void>
}

/** Throws ListenFailed when a port cannot be opened, CacheDirRefused when a cache_dir is another program's. */
export const assemble = (loaded: LoadedConf, options: MachineOptions): Machine => {
  const { clock, log, worker } = options
  const { config } = loaded
  const storeLogs = new StoreLogs(config, clock, log)
  const stores = openStores(config, clock, log, worker?.changes ?? null, storeLogs)
  const comm = createComm({
    clock,
    engine: options.engine ?? 'auto',
    ...(config.max_filedescriptors > 0 ? { fdMax: config.max_filedescriptors } : {}),
    fdOthers: descriptorsHeld(),
    handedIn: options.handedIn ?? [],
    onFailure: (error, where) => notices.bug(where, error),
    onWarning: text => log.warning('descriptors', text),
  })
  const notices = httpNotices(log)
  SecureConnection.readerFailed = error => notices.bug('a connection with TLS', error)
  const naming = new Naming(config, clock, log)
  const neighbours = createNeighbours(clock)
  const collapse = new Collapse(config.collapsed_forwarding, clock)
  collapse.readAheadBytesMax = config.read_ahead_gap
  collapse.waitMax = secondsToMs(config.collapsed_forwarding_timeout)
  stores.outdated = key => {
    if (key === null) collapse.invalidateAll()
    else collapse.invalidate(key)
  }
  const pool = createOriginPool({ comm, clock, limits: originLimits(config, comm), failed: (e, where) => notices.bug(where, e) })
  const accessLogs = new AccessLogs(loaded, clock, log, options.record ?? null, options.fatal ?? (() => {}))
  const manager = new Manager()
  const startedAt = clock.wall()
  let stopping = false
  const outcomes = new Outcomes(loaded, { log, accessLogs, storeLogs })
  const history = new History({
    clock, startedAt,
    traffic: outcomes.traffic,
    disk: () => diskSums(stores, outcomes.traffic),
    ...(worker === undefined ? {} : { upBefore: worker.upBefore }),
  })
  const alarms = new Alarms(config, { clock, log, history, memory: () => process.memoryUsage.rss() })
  const stopWatchingClock = watchClockSteps(clock, by => {
    deps.policy.current.cache.refresh.judgeAnew()
    tellClockStep(log, by)
  })
  let inForce = config
  const icap = new Icap(clock, icapDial({ comm, lookup: naming.lookup }), text => log.limited(text, 'icap', 1, `WARNING: ${text}`), icapSettings(config))
  icap.ended = (record, outcome) => accessLogs.recordIcap(record, outcome)
  const programs: ProgramDeps = {
    clock,
    adoptPipe: comm.adoptPipe,
    complain: text => log.limited(text, 'service', 1, `WARNING: ${text}`),
    running: new Set(),
  }
  const keyLogs = new KeyLogs(config, clock, log)
  const deps: HttpDeps = {
    clock,
    keyLog: keyLogs.write,
    deadlines: new Deadlines(clock),
    policy: { current: loaded.policy.http },
    store: stores.store,
    lend: lender,
    collapse,
    validationsBehind: new ValidationsBehind(clock),
    names: naming,
    namePatience: new NamePatience(clock),
    accessNames: naming.forAccess,
    accessClients: {
      connectionsOf: address => census.counts.ofClient(address),
      nameOf: naming.nameOf,
      hardwareOf: address => (inForce.eui_lookup ? neighbours.hardwareOf(address) : ''),
      connectionMarkOf: connectionMarkOf(comm.connectionMark, log),
    },
    markConnection: comm.markConnection,
    relay: (a, b, relayOptions) => void comm.relay(a, b, relayOptions),
    icap: icapClient(icap, programs),
    buckets: { open: comm.bandwidthOf, onFilled: comm.onBandwidthFilled },
    isOwnEndpoint: comm.isOwnEndpoint,
    isOwnConnection: comm.isOwnConnection,
    record: outcomes.record,
    ownPages: { path: managerPath, answer: request => answerPage({ manager, passwords: () => inForce.cachemgr_passwd }, request) },
    notices,
  }
  const census = new Census(worker === undefined ? undefined : { first: worker.number, step: worker.count })
  const sessionLogs = new SessionLogs(config, clock, log)
  const availability = new Availability({ clock, changed: outcome => tellAvailability(log, outcome) })
  const beside = new Beside(clock, besideLimits(config))
  const parts: ServiceParts = {
    comm,
    clock,
    pool,
    states: new TargetStates({ clock }),
    availability,
    beside,
    turns: new Map(),
    http: deps,
    plug: {
      clock,
      deadlines: deps.deadlines,
      relay: comm.relay,
      bandwidth: comm.bandwidth,
      portOf: session => listening.portOf(session),
      stats: (where, toServer, toClient) =>
        log.write('plug', 1, `${where}: ${toServer} bytes to the server, ${toClient} to the client so far`),
      hint: plugHint(() => deps.policy.current, naming.forAccess),
      isOwnConnection: comm.isOwnConnection,
      expectsAnswers,
      programs,
      record: deps.record,
      bug: notices.bug,
    },
    tls: {
      clock,
      timeout: () => deps.policy.current.timeouts.request,
      startInside,
      record: deps.record,
      keyLog: session => (logsKeysOf(deps.policy.current, session, clock) ? keyLogs.write : undefined),
    },
    mints: new Mints(),
    lookup: naming.lookup,
    census,
    sessions: sessionLogs,
    failed: (error, where) => notices.bug(where, error),
    introduction: why => log.limited(why.replace(/:\d+ on/, ' on'), 'http', 1, `WARNING: ${why}`),
  }
  const listening = new Listening(comm, clock, log, parts.failed, worker !== undefined, ({ config, policy }) => servicesOf(config, parts, policy))
  const icpPort = new IcpPort(loaded.policy.icp, {
    clock, comm, log,
    shared: worker !== undefined,
    store: () => stores.store,
    http: () => deps.policy.current,
    record: outcome => accessLogs.record(outcome),
  })
  naming.begin(loaded)
  let { nat, programs: helpers, users } = loaded.policy
  /** Of former confs, with questions that somebody waits for. */
  const retiring = new Set<Programs>()
  const helperDeps: HelperDeps = { clock, complain: text => log.limited(text.replace(/\d+/g, '#'), 'helper', 1, `WARNING: ${text}`) }
  try {
    census.limits = limitsOf(config)
    icpPort.open(config)
    listening.use(loaded)
    availability.watch(watchesOf(config, parts))
  } catch (error) {
    void stores.close()
    throw error
  }

  helpers.start(helperDeps)
  const peerKeeper = new PeerKeeper({ clock, comm, log, lookup: naming.lookup }, pool)
  peerKeeper.use(deps.policy.current.peers)
  const issuers = issuerSource({ comm, lookup: naming.lookup })
  beginOutgoingTls(deps.policy.current.serverTls, null, issuers, bumps(config))
  icpPort.use(config, loaded.policy.icp, deps.policy.current.peers)
  const knownPeers = () => (deps.policy.current.peers?.uses ?? []).map(({ peer }) => peer)
  naming.follow()
  registerSessions(manager, () => listening.services)
  const purging = purgePage({ parts: () => ({ store: stores.store, collapse, clock }), keysOfUri: uri => possibleKeys(uri, deps.policy.current.storeIds), log })
  manager.register(purging)
  manager.register(
    explainPage({
      clock,
      ports: () => portsOf(inForce),
      parts: () => ({
        policy: deps.policy.current,
        names: deps.accessNames,
        running: { store: stores.store, collapse, whereIs: key => tiersWith(stores, key), refused: uri => outcomes.refusals.of(uri) },
      }),
    }),
  )
  manager.register(
    objectsPage({ clock, store: () => stores.store, policy: () => deps.policy.current.cache, whereIs: key => tiersWith(stores, key) }),
  )
  registerPages(manager, {
    startedAt, traffic: outcomes.traffic, history, clients: outcomes.clients, stores, comm, collapse,
    passwords: () => inForce.cachemgr_passwd,
    hostname: () => deps.policy.current.hostname,
    sessions: () => listening.sessions,
    sessionsOf: address => census.counts.ofClient(address),
    unready: () => (stopping ? 'it stops' : ''),
    peers: knownPeers,
  })
  registerConnections(manager, { clock, comm, services: () => listening.services })
  registerNames(manager, { clock, resolver: () => naming.resolver })
  registerConf(manager, { config: () => inForce, refresh: () => deps.policy.current.cache.refresh })
  manager.register(serverListPage({ clock, peers: knownPeers, servers: () => availability.outcomes }))
  return {
    comm,
    manager,
    get ports() {
      return listening.ports
    },
    get sessions() {
      return listening.sessions
    },
    get validationsBehind() {
      return deps.validationsBehind.count
    },
    reload(next) {
      next.policy.nat.adopt(nat)
      icpPort.open(next.config)
      try {
        listening.use(next)
      } catch (error) {
        icpPort.open(inForce)
        throw error
      }
      nat = next.policy.nat
      census.limits = limitsOf(next.config)
      census.keep(listening.services.map(service => service.name))
      sessionLogs.use(next.config)
      keyLogs.use(next.config)
      availability.watch(watchesOf(next.config, parts))
      beside.limits = besideLimits(next.config)
      retire(deps.policy.current.delay)
      const retired = helpers
      helpers = next.policy.programs
      helpers.start(helperDeps)
      if (users !== null) next.policy.users?.authenticator.adopt(users.authenticator)
      users = next.policy.users
      icap.use(icapSettings(next.config), icapServicesOf(next.config))
      peerKeeper.use(next.policy.http.peers)
      beginOutgoingTls(next.policy.http.serverTls, deps.policy.current.serverTls, issuers, bumps(next.config))
      icpPort.use(next.config, next.policy.icp, next.policy.http.peers)
      deps.policy.current = next.policy.http
      retiring.add(retired)
      void retired.retire().then(() => retiring.delete(retired))
      inForce = next.config
      naming.use(next)
      storeLogs.use(next.config)
      stores.reload(next.config)
      deps.store = stores.store
      collapse.on = next.config.collapsed_forwarding
      collapse.readAheadBytesMax = next.config.read_ahead_gap
      collapse.waitMax = secondsToMs(next.config.collapsed_forwarding_timeout)
      pool.configure(originLimits(next.config, comm))
      accessLogs.reload(next)
      alarms.use(next.config)
      outcomes.use(next)
    },
    rotate() {
      accessLogs.rotate()
      sessionLogs.rotate()
      keyLogs.rotate()
      storeLogs.rotate()
    },
    async stop(graceMs) {
      stopping = true
      history.stop()
      alarms.stop()
      stopWatchingClock()
      purging.stop()
      naming.stopFollowing()
      listening.close()
      availability.close()
      icap.close()
      icpPort.close()
      peerKeeper.stop()
      await listening.drained(clock, graceMs)
      listening.stop()
      pool.close()
      await new Promise(setImmediate) // who waited for a connection is answered before the sockets go
      collapse.stop()
      naming.close()
      comm.close()
      for (const program of [...programs.running]) program.kill()
      await Promise.all([helpers, ...retiring].map(one => one.stop()))
      await stores.close()
      await accessLogs.close()
      await sessionLogs.close()
      await keyLogs.close()
      await storeLogs.close()
    },
  }
}

/** What Node and the logs hold now, and a few for what comes later: name servers, the logs of a reload. */
const descriptorsHeld = (): number => {
  try {
    return readdirSync('/proc/self/fd').length + 8
  } catch {
    return 40 // no /proc here
  }
}

/** tls_key_log, for a connection whose first request is still to come. */
const logsKeysOf = ({ serverTls }: HttpPolicy, { client, portName }: Session, clock: Clock): boolean => {
  if (serverTls === null || serverTls.keyLog === null) return false
  const facts = new AccessFacts(client.peer, client.local, portName)
  facts.now = clock.wall()
  return serverTls.keyLog.holds(facts)
}

const tellAvailability = (log: DebugLog, { chainer, target, up, why }: CheckOutcome): void => {
  const text = `${endpointText(target)} of chainer ${chainer} is ${up ? 'up' : `down: ${why}`}`
  if (up) log.write('chainer', 1, text)
  else log.warning('chainer', text)
}

const tellClockStep = (log: DebugLog, by: DurationMs): void => {
  const [hours, minutes, seconds] = [Math.abs(by) / 3_600_000, (Math.abs(by) / 60_000) % 60, (Math.abs(by) / 1000) % 60].map(Math.floor)
  const span = `${hours} h ${minutes} min ${seconds} s`
  log.warning('main', by < 0
    ? `the clock was set back by ${span}: stored responses that seem to come from the future are validated before they are used`
    : `the clock went ahead by ${span}: it was set, or the machine has slept; stored responses are as much older`)
}

/** What comes by TLS will go on by TLS. */
const bumps = (config: Config): boolean => portsOf(config).some(({ tls }) => tls?.bump === true)
