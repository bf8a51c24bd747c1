import { declareCounters } from '../../base/index.ts'

export const CountHttp = declareCounters({
  connections: { doc: 'client connections taken by the http proxy' },
  requests: { doc: 'requests answered, refused ones included' },
  hits: { doc: 'requests answered from the store without asking the origin' },
  misses: { doc: 'requests the origin was asked for' },
  validations: { doc: 'stored responses the origin was asked about' },
  validationsBehind: { doc: 'stale responses given at once and validated behind the client (stale-while-revalidate)' },
  validationsBehindFailed: { doc: 'of these, those whose origin could not say: the stale response stays within its window' },
  fetchesOn: { doc: 'fetches that went on for the cache when nobody wanted the response any more (quick_abort)' },
  fetchesOnFull: {
    doc: 'fetches that would have, but for too many of them',
    whenItGrows: 'clients ask for much and leave: lower quick_abort_min, or limit whom range_offset_limit none is for',
  },
  partsCompleted: { doc: 'responses put together from stored parts and what was missing' },
  tunnels: { doc: 'CONNECT and Upgrade requests that became a relay' },
  purged: { doc: 'stored responses that were purged, by method or by the manager' },
  denied: { doc: 'requests an access list refused' },
  broken: {
    doc: 'requests that could not be read without guessing',
    whenItGrows: 'something that is not HTTP comes to the port, or a client tries request smuggling',
  },
  hostMismatches: {
    doc: 'intercepted requests whose Host does not resolve to the address the client went to',
    whenItGrows: 'clients and proxy ask different resolvers: point dns_nameservers to the one the clients use',
  },
  directHits: {
    doc: 'connections made to an interception port itself',
    whenItGrows: 'a client is configured with the wrong port, or the redirect is done on another box',
  },
  loops: { doc: 'requests that came back to us', whenItGrows: 'our own connections are intercepted: exempt our mark' },
  delayBucketsFull: {
    doc: 'times a level of a delay pool did not limit, since there was no room for one more bucket',
    whenItGrows: 'more clients at once than the pools have buckets for: use networks instead of individuals',
  },
  aborted: { doc: 'transactions whose client left before the end' },
  bugs: { doc: 'transactions ended by a fault of ours', whenItGrows: 'report the stack in cache.log' },
})
