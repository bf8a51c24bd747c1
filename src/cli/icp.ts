import { type Comm, COMM_REUSEADDR, COMM_REUSEPORT, type Listener } from '../../comm/index.ts'
import { AccessFacts, type AccessList, type AclTable, compileAccessList } from '../acl/index.ts'
import { type Clock, endpoint, endpointText, errnoOf, newOutcome, type Outcome, type ResultCode, type WallMs, wallMs } from '../base/index.ts'
import { cacheKey, reuse, type Store, type Variants } from '../cache/index.ts'
import type { Config } from '../conf/index.ts'
import { defaultPort, hostText, parseAbsolute, uriText } from '../http/index.ts'
import type { DebugLog } from '../log/index.ts'
import { type AnsweredQuery, IcpClient, type IcpAnswer, IcpServer } from '../peer/index.ts'
import { type HttpPolicy, storeIdOf } from '../proxy/index.ts'
import type { PeerRouter } from '../router/index.ts'
import { ListenFailed } from './listening.ts'

// icp_port: other proxies ask here what is stored, and ours are asked from here.

/** What a conf says of ICP, compiled. */
export interface IcpPolicy {
  readonly access: AccessList
  /** icp_hit_stale. */
  readonly hitStale: boolean
  /** log_icp_queries. */
  readonly logs: boolean
}

export const compileIcp = (config: Config, acls: AclTable): IcpPolicy => ({
  access: compileAccessList(config.icp_access, acls, 'deny'),
  hitStale: config.icp_hit_stale,
  logs: config.log_icp_queries,
})

export interface IcpParts {
  readonly clock: Clock
  readonly comm: Comm
  readonly log: DebugLog
  /** It shares its port with other processes. */
  readonly shared: boolean
  readonly store: () => Store
  readonly http: () => HttpPolicy
  readonly record: (outcome: Outcome) => void
}

/** A proxy asks about many things in a row; its next question may come from another port. */
const flowIdleMs = 10_000
const flowsMax = 16_384
const queueBytes = 1024 * 1024

/** Squid: what is told to be here should still be fresh when it is asked for. */
const freshForMs = 30_000

export class IcpPort {
  readonly #parts: IcpParts
  readonly #server: IcpServer
  #policy: IcpPolicy
  #listener: Listener | null = null
  #place = ''
  #client: IcpClient | null = null

  constructor(policy: IcpPolicy, parts: IcpParts) {
    this.#policy = policy
    this.#parts = parts
    this.#server = new IcpServer({ judge: (client, local, uri) => this.#judge(client, local, uri), record: query => this.#record(query) })
  }

  /** Throws ListenFailed when the port cannot be opened; then nothing has changed. */
  open(config: Config): void {
    const place = config.icp_port === 0 ? '' : `${addressOf(config.udp_incoming_address) ?? '*'} ${config.icp_port}`
    if (place === this.#place) return
    const listener = place === '' ? null : this.#listen(config)
    this.#listener?.close()
    this.#listener = listener
    this.#place = place
  }

  /** `peers` are asked from now on; queries of the conf before end unanswered. */
  use(config: Config, policy: IcpPolicy, peers: PeerRouter | null): void {
    this.#policy = policy
    this.#client?.close()
    this.#client = config.icp_port === 0 || peers === null || !peers.uses.some(({ peer }) => peer.isQueried) ? null : this.#newClient(config)
    if (peers !== null) peers.ping = this.#client
  }

  close(): void {
    this.#listener?.close()
    this.#client?.close()
  }

  #listen(config: Config): Listener {
    const { comm, log, shared } = this.#parts
    const address = addressOf(config.udp_incoming_address)
    const at = endpoint(address ?? '::', config.icp_port)
    try {
      const listener = comm.receive(
        {
          endpoint: at,
          dualStack: address === null,
          flags: COMM_REUSEADDR | (shared ? COMM_REUSEPORT : 0),
          note: `icp ${endpointText(at)}`,
          bufferBytes: queueBytes,
          flowsMax,
          flowsPerClientMax: flowsMax,
          timesOf: () => ({ idleMs: flowIdleMs, unansweredMs: flowIdleMs, answeredMs: flowIdleMs }),
        },
        this.#server.taken,
      )
      log.write('peer', 1, `Accepting ICP messages on ${endpointText(listener.endpoint)}`)
      return listener
    } catch (error) {
      throw new ListenFailed(`icp_port ${endpointText(at)}: ${errnoOf(error) || (error instanceof Error ? error.message : '')}`)
    }
  }

  #newClient(config: Config): IcpClient {
    const { clock, comm } = this.#parts
    return new IcpClient({
      clock,
      // a connected datagram socket stands at once
      dial: (target, source, done) => comm.dial({ target, source, protocol: 'udp', flags: 0, note: 'icp query' }, dialMs, done),
      times: { fixedMs: config.icp_query_timeout, minMs: config.minimum_icp_query_timeout, maxMs: config.maximum_icp_query_timeout },
      source: addressOf(config.udp_outgoing_address) ?? addressOf(config.udp_incoming_address),
    })
  }

  #judge(client: AnsweredQuery['client'], local: AnsweredQuery['local'], asked: string): IcpAnswer | Promise<IcpAnswer> {
    const target = parseAbsolute(asked)
    if (target === null) return 'error'
    const uri = uriText(target.scheme, target.host, target.port, target.path)
    const facts = new AccessFacts(client, local, 'icp')
    facts.method = 'ICP_QUERY'
    facts.scheme = target.scheme
    facts.uri = uri
    facts.host = hostText(target.host)
    facts.port = target.port === 0 ? defaultPort(target.scheme) : target.port
    facts.urlPath = target.path
    facts.now = this.#parts.clock.wall()
    if (!this.#policy.access.checkFast(facts).allowed) return 'denied'
    const http = this.#parts.http()
    const found = this.#parts.store().peek(cacheKey('GET', storeIdOf(http.storeIds, uri, facts) || uri))
    return found instanceof Promise ? found.then(variants => this.#verdict(variants)) : this.#verdict(found)
  }

  /** Whichever variant is wanted is not said. */
  #verdict(variants: Variants | null): IcpAnswer {
    const { clock, http } = this.#parts
    const then = wallMs(clock.wall() + freshForMs)
    const isHit = (variants ?? []).some(
      stored => stored.status !== 206 && (this.#policy.hitStale || reuse(stored, null, http().cache, then).kind === 'fresh'),
    )
    return isHit ? 'hit' : 'miss'
  }

  #record(query: AnsweredQuery): void {
    if (this.#policy.logs) this.#parts.record(queryOutcome(query, this.#parts.clock.wall(), this.#parts.clock))
  }
}

const dialMs = 10_000

/** Null: all, or whichever the kernel takes. */
const addressOf = (text: string): string | null => (text === 'any_addr' || text === 'no_addr' ? null : text)

const results: Readonly<Record<IcpAnswer, ResultCode>> = {
  hit: 'UDP_HIT', miss: 'UDP_MISS', missNoFetch: 'UDP_MISS_NOFETCH', denied: 'UDP_DENIED', error: 'UDP_INVALID',
}

const queryOutcome = ({ client, local, uri, answer, bytes }: AnsweredQuery, startedAt: WallMs, clock: Clock): Outcome => {
  const now = clock.mono()
  return {
    ...newOutcome({ startedAt, startedMono: now, client, clientLocal: local, portName: 'icp', taken: 'direct' }),
    initiator: 'icp',
    endedMono: now,
    method: 'ICP_QUERY',
    uri,
    result: results[answer],
    reuseReason: answer === 'hit' ? 'fresh' : '',
    responseBytes: bytes,
  }
}
