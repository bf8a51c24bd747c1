// peer: other proxies, as cache_peer lines name them.
//
// holds          what is known of each (is it up, how quick, how often its turn was), how they are asked by ICP, and watched (monitor)
// does not hold  who of them is chosen (router/peer-select), what is said to them in HTTP (proxy), how one connects (chainer)
// called by      cli builds them and shows them; router, chainer and proxy are handed them
// calls          base, http

export { IcpClient, type IcpFound, type IcpTarget, type IcpTimes } from './icp/client.ts'
export { CountIcp } from './icp/counters.ts'
export { icpAnswer, type IcpAnswer, icpOpcodes, icpQuery, readIcp, uriBytesMax } from './icp/message.ts'
export { type AnsweredQuery, IcpServer } from './icp/server.ts'
export { askMonitorUrl, type DialPeer } from './monitor.ts'
export { Peer, type PeerTimes, type PeerWorld } from './peer.ts'
