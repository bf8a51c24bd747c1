import { declareCounters } from '../src/base/index.ts'

const table = {
  accepted: { doc: 'connections accepted' },
  acceptPauses: {
    doc: 'times accepting was paused because descriptors ran short',
    whenItGrows: 'raise LimitNOFILE (ulimit -n), or look in the fd table for who holds so many',
  },
  acceptErrors: {
    doc: 'accept(2) failures, as a rule a lack of descriptors or memory',
    whenItGrows: 'look at the warnings in cache_log',
  },
  connects: { doc: 'connections we tried to open' },
  connectFailures: {
    doc: 'connections that could not be opened (refused, no route, no permission)',
    whenItGrows: 'an origin is down, a route is missing, or the forged source cannot come back to us',
  },
  connectTimeouts: {
    doc: 'connections that did not open within connect_timeout',
    whenItGrows: 'packets are lost: for forged sources check policy routing and rp_filter first',
  },
  connectionsClosed: { doc: 'connections closed, for whatever reason' },
  timeouts: { doc: 'deadlines of connections that passed' },
  handlerFailures: {
    doc: 'callbacks that threw; their connection was closed',
    whenItGrows: 'a bug of ours: cache_log has the stack',
  },
  bytesRead: { doc: 'bytes read by connections, relays not counted' },
  bytesWritten: { doc: 'bytes given to connections to write, relays not counted' },
  bytesFromFiles: { doc: 'bytes the kernel took straight from files of the disk cache; part of bytesWritten' },
  bytesLent: { doc: 'bytes of cached content whose memory the kernel sent from without copying it; part of bytesWritten' },
  batches: { doc: 'turns in which the native engine had something to deliver' },
  partialWrites: { doc: 'writes the kernel did not take whole; the rest waited in our memory' },
  datagramsReceived: { doc: 'UDP datagrams of clients' },
  datagramsSent: { doc: 'UDP datagrams given to the kernel' },
  datagramsDropped: {
    doc: 'UDP datagrams dropped: no flow might be opened for them, too many waited, or the kernel had no room',
    whenItGrows: 'look at flowsRefused; else raise rcvbuf or net.core.wmem_max, or a firewall refuses them',
  },
  flows: { doc: 'UDP flows opened' },
  flowsIdle: { doc: 'UDP flows ended because they were quiet' },
  flowsRefused: {
    doc: 'UDP datagrams that would have opened a flow beyond flows_max, flows_per_client or the descriptors',
    whenItGrows: 'somebody floods with invented addresses, or the limits are too low',
  },
  flowsPushedOut: { doc: 'UDP flows without an answer that gave way to newer ones', whenItGrows: 'as for flowsRefused' },
  relays: { doc: 'pairs of connections relayed without looking at the bytes' },
  relayBytes: { doc: 'bytes moved by finished relays' },
} as const

export type CommCounters = ReturnType<typeof commCounters>

/** One set per Comm. */
export const commCounters = () => declareCounters(table)
