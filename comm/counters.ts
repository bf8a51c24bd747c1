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
  batches: { doc: 'turns in which the native engine had something to deliver' },
  partialWrites: { doc: 'writes the kernel did not take whole; the rest waited in our memory' },
  relays: { doc: 'pairs of connections relayed without looking at the bytes' },
  relayBytes: { doc: 'bytes moved by finished relays' },
} as const

export type CommCounters = ReturnType<typeof commCounters>

/** One set per Comm. */
export const commCounters = () => declareCounters(table)
