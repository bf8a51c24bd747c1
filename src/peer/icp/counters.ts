import { declareCounters } from '../../base/index.ts'

export const CountIcp = declareCounters({
  queriesSent: { doc: 'ICP queries sent to peers' },
  queriesReceived: { doc: 'ICP queries of other proxies' },
  repliesSent: { doc: 'ICP answers given' },
  repliesReceived: { doc: 'ICP answers of peers' },
  bytesSent: { doc: 'bytes of ICP sent, queries and answers' },
  bytesReceived: { doc: 'bytes of ICP received, queries and answers' },
  queryBytesSent: { doc: 'bytes of ICP queries sent' },
  queryBytesReceived: { doc: 'bytes of ICP queries received' },
  timeouts: { doc: 'requests for which not all peers had answered in time', whenItGrows: 'a peer is slow or gone: see the page server_list' },
  timesUsed: { doc: 'requests sent to a peer because of its ICP answer' },
  unreadable: { doc: 'datagrams to icp_port that are no ICP', whenItGrows: 'somebody sends something else there' },
})
