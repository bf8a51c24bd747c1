// comm: every socket of the program.
//
// holds          connections, listeners, connects, relays and their bandwidth, datagrams as flows (datagram/), over two
//                engines (native, node); the descriptor budget and table; where an accepted connection had been going
//                (nat-lookup); names to addresses (resolver); this machine's interfaces (interfaces)
// does not hold  protocols, policy: who may connect, where to, with whose address
// called by      dispatch (listening), chainer (connecting), proxies (through the Connection they are handed)
// calls          native, base

export type { Bandwidth, BandwidthShape } from './bandwidth.ts'
export {
  type CloseHandler,
  type CloseReason,
  type Connection,
  type ConnectionReader,
  closeReasons,
  type Tuning,
} from './connection.ts'
export { type Comm, type CommOptions, createComm, type SocketDone } from './comm.ts'
export type { FlowTimes, ReceiveOptions } from './datagram/receive-options.ts'
export {
  type Attempt,
  COMM_DOBIND,
  COMM_NOCLOEXEC,
  COMM_NONBLOCKING,
  COMM_REUSEADDR,
  COMM_REUSEPORT,
  COMM_SELECT_READ,
  COMM_SELECT_WRITE,
  COMM_TPROXY_LCL,
  COMM_TPROXY_REM,
  type ConnectDone,
  type ConnectOptions,
  type Descriptors,
  type FdEntry,
  type Listener,
  type ListenOptions,
  type OpenOptions,
  type Powers,
  type Relay,
  type RelayEnd,
  type RelayOptions,
  type RelayStats,
} from './engine/engine.ts'
export { CommError, errnoName } from './error.ts'
export { describeHandedIn, type HandedIn, type HandedInAnswer } from './handed-in.ts'
export { createExpectSet, expectSetName, expectTable, type ExpectSet } from './expect-set.ts'
export {
  createExpectations,
  type Expectation,
  type Expectations,
  type ExpectAnswer,
  type ExpectHost,
  type ExpectLimits,
  type ExpectOptions,
  type NotExpected,
  usualExpectLimits,
} from './expect.ts'
export * from './interfaces/index.ts'
export * from './nat-lookup/index.ts'
export { createNeighbours, type Neighbours, type NeighbourSources } from './neighbours.ts'
export { createReverseNames, type ReverseNames, type ReverseNamesOptions } from './reverse-names.ts'
export type { PairEnds } from './pair.ts'
export { type MulticastOptions, multicastQuery } from './multicast-names.ts'
export { readSearchList, type SearchList } from './search-list.ts'
export {
  type AddressRecord,
  createResolver,
  type Query,
  type ResolvedName,
  type Resolver,
  type ResolverCounters,
  type ResolverOptions,
} from './resolver.ts'
