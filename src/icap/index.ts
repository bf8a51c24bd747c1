// icap: a client of ICAP (RFC 3507): messages are shown to services of the operator's, who may change or answer them.
//
// holds          the grammar of ICAP on that of HTTP, services with their OPTIONS, failures and idle connections, one
//                message through one service (exchange)
// does not hold  which message goes to which service, what is done when none works (proxy/http), sockets
// called by      cli/assemble, which makes it; proxy/http, which is handed it
// calls          base, http; how to dial is handed in

export { CountIcap } from './counters.ts'
export { type Adapted, type IcapMessage, type IcapUser, Exchange } from './exchange.ts'
export { type Dial, Icap, type IcapServiceConfig, type IcapSettings, Service } from './service.ts'
