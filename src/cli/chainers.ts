import type { Comm } from '../../comm/index.ts'
import type { Clock } from '../base/index.ts'
import {
  type Availability, type BesideRules, type Chainer, type Check, createConnectChainer, failover, firstServer, httpCheck, inOrder, multiTarget,
  noServerPolicy, type OriginPool, type Plan, programCheck, roundRobin, type ServerPolicy, type TargetStates, tcpCheck, Turn, type Watch,
} from '../chainer/index.ts'
import { type ChainerConfig, type CheckConfig, type Config, lastChainerOf } from '../conf/index.ts'

// From chainer lines to chainers. Whose turn it is and who is down outlives a reload and is shared by all services that
// name the same chainer.

export interface ChainerParts {
  readonly comm: Comm
  readonly clock: Clock
  readonly pool: OriginPool
  readonly states: TargetStates
  readonly availability: Availability
  readonly beside: BesideRules
  /** By the chainer's name. */
  readonly turns: Map<string, Turn>
}

/** A chainer for one service; `line` undefined: http_port lines walk as Squid does. */
export const chainerOf = (
  line: ChainerConfig | undefined,
  config: Config,
  parts: ChainerParts,
  policy: ServerPolicy = noServerPolicy,
  keepalive = false,
): Chainer =>
  createConnectChainer({
    ...parts,
    name: line?.name ?? 'connect',
    plan: line === undefined ? inOrder : planOf(line, parts),
    policy,
    keepalive,
    protocol: line?.protocol ?? 'auto',
    framing: line?.framing ?? 'none',
    connectTimeout: line?.timeoutConnect ?? config.connect_timeout,
    forwardTimeout: config.forward_timeout,
    triesMax: config.forward_max_tries,
    connectRetries: config.connect_retries,
    receiveBytes: config.tcp_recv_bufsize,
  })

/** The chainer that needs no line. */
export const connectLine: ChainerConfig = {
  name: 'connect',
  kind: 'connect',
  protocol: 'auto',
  framing: 'none',
  timeoutConnect: null,
  timeoutState: 0 as ChainerConfig['timeoutState'],
  checks: [],
  checkInterval: 0 as ChainerConfig['checkInterval'],
  checkTimeout: 0 as ChainerConfig['checkTimeout'],
  rightProxy: null,
  rightChainer: 'connect',
  uses: [],
  text: 'connect',
  at: { file: '(built in)', line: 0, column: 0, from: null },
}

const planOf = (line: ChainerConfig, parts: ChainerParts): Plan => {
  switch (line.kind) {
    case 'connect':
      return firstServer
    case 'multi_target':
      return multiTarget(turnOf(line, parts))
    case 'failover':
      return failover(parts.states, line.timeoutState)
    case 'round_robin':
      return roundRobin(parts.states, line.timeoutState, turnOf(line, parts))
    case 'availability':
      return parts.availability.plan(line.name, turnOf(line, parts))
    case 'side_stack':
      return firstServer
  }
}

const turnOf = ({ name }: ChainerConfig, { turns }: ChainerParts): Turn => {
  const key = name.toLowerCase()
  const turn = turns.get(key) ?? new Turn()
  turns.set(key, turn)
  return turn
}

/** What has to be looked after: the targets of directed routers whose service has an availability chainer. */
export const watchesOf = (config: Config, { comm, clock }: Pick<ChainerParts, 'comm' | 'clock'>): readonly Watch[] =>
  config.service.flatMap(service => {
    const chainer = lastChainerOf(config, service)
    const router = config.router.find(line => line.name.toLowerCase() === service.router.toLowerCase())
    if (chainer?.kind !== 'availability' || router === undefined) return []
    return router.targets.map(target => ({
      chainer: chainer.name,
      target,
      asks: JSON.stringify([chainer.checks, chainer.checkInterval, chainer.checkTimeout]),
      checks: chainer.checks.map(check => checkOf(check, comm, clock)),
      interval: chainer.checkInterval,
      timeout: chainer.checkTimeout,
    }))
  })

const checkOf = (check: CheckConfig, comm: Comm, clock: Clock): Check => {
  switch (check.kind) {
    case 'tcp':
      return tcpCheck(comm)
    case 'http':
      return httpCheck(comm, check.path)
    case 'program':
      return programCheck(clock, check.path)
  }
}
