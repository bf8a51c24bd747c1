import type { FlowTimes } from '../../comm/index.ts'
import type { DurationMs, Endpoint } from '../base/index.ts'

// A receiver is a listener whose connections are UDP flows (see comm/datagram): the same entries, chains and services.
// What is its own is here: how long a flow may be quiet. UDP has no end, so the protocol is guessed by its port.

interface Protocol {
  readonly name: string
  readonly ports: readonly number[]
  readonly times: FlowTimes
}

/**
 * DNS: over with its answers; a resolver asks on its next port (RFC 5452 9.2). An answer that is late comes within ten
 * seconds (BIND gives up after ten, unbound's largest timeout is longer but sends again). NTP: one question, one answer.
 * RADIUS: a client sends again for up to thirty seconds (RFC 5080 2.2.1).
 */
const protocols: readonly Protocol[] = [
  { name: 'dns', ports: [53], times: { idleMs: 10_000, unansweredMs: 10_000, answeredMs: 500 } },
  { name: 'ntp', ports: [123], times: { idleMs: 10_000, unansweredMs: 10_000, answeredMs: 1000 } },
  { name: 'radius', ports: [1812, 1813, 1645, 1646], times: { idleMs: 30_000, unansweredMs: 30_000, answeredMs: 30_000 } },
]

/** Nearly all protocols keep their NAT entries alive at least every half minute (RFC 4787 4.3 asks NATs for two). */
const others: FlowTimes = { idleMs: 60_000, unansweredMs: 30_000, answeredMs: 60_000 }

const byPort: ReadonlyMap<number, FlowTimes> = new Map(protocols.flatMap(({ ports, times }) => ports.map(port => [port, times])))

/** A protocol of questions, each of which is answered: by a server that is there. */
export const expectsAnswers = (port: number): boolean => byPort.has(port)

/** The quiet times of flows; `idle` replaces what the port says, null leaves it. */
export const flowTimes = (idle: DurationMs | null): ((destination: Endpoint) => FlowTimes) => {
  if (idle === null) return ({ port }) => byPort.get(port) ?? others
  const chosen: FlowTimes = { idleMs: idle, unansweredMs: Math.min(idle, others.unansweredMs), answeredMs: idle }
  return () => chosen
}
