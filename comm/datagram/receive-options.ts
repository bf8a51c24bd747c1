import type { Endpoint } from '../../src/base/index.ts'

/** Quiet times after which a flow ends. */
export interface FlowTimes {
  /** Both sides have spoken. */
  readonly idleMs: number
  /** No answer came yet. */
  readonly unansweredMs: number
  /** As many answers as questions: for protocols that are over then (DNS). idleMs for others. */
  readonly answeredMs: number
}

export interface ReceiveOptions {
  readonly endpoint: Endpoint
  /** COMM_*. COMM_TPROXY_LCL: datagrams for foreign destinations are brought here by a kernel rule. */
  readonly flags: number
  /** An IPv6 wildcard also takes IPv4, with a socket of its own. */
  readonly dualStack: boolean
  /** Wished size of the kernel's queue, bytes; 0 = what the system gives. */
  readonly bufferBytes: number
  /** Flows at once; more are refused, after flows without an answer have given way. */
  readonly flowsMax: number
  /** The same for one client address. */
  readonly flowsPerClientMax: number
  /** By destination: protocols are told by their port. */
  readonly timesOf: (destination: Endpoint) => FlowTimes
  readonly mark?: number
  readonly device?: string
  readonly note: string
}
