import { endpointText } from '../base/index.ts'
import type { DebugLog } from '../log/index.ts'
import type { HttpNotices } from '../proxy/index.ts'

/** What the http proxy tells an operator, in cache.log. One line per thing and minute, as much as it may happen. */
export const httpNotices = (log: DebugLog): HttpNotices => ({
  hostForgery(client, destination, host, why) {
    log.limited(
      `forgery ${host}`,
      'http',
      1,
      `SECURITY ALERT: Host header forgery detected on local=${endpointText(destination)} remote=${endpointText(client)} host=${host} (${why}); served from there and not stored under the name`,
    )
  },
  directHit(client, port) {
    log.limited(
      `direct ${client.address}`,
      'http',
      1,
      `WARNING: ${endpointText(client)} connected to interception port ${port} itself; clients reach it by a rule of the gateway ('glassquid rules')`,
    )
  },
  loop(client, uri) {
    log.limited(`loop ${client.address}`, 'http', 1, `WARNING: Forwarding loop detected for ${uri} from ${endpointText(client)}`)
  },
  badRewriting(uri, answer) {
    log.limited('bad rewriting', 'helper', 1, `WARNING: the rewriting program answers ${JSON.stringify(answer.slice(0, 200))} to ${uri}, which is no URL; the request stays as it was`)
  },
  refusedHead(client, port, why) {
    log.limited(`refused head ${client.address}`, 'http', 1, `WARNING: a request head of ${endpointText(client)} on port ${port} is refused: ${why}`)
  },
  packets(why) {
    log.limited(why, 'http', 1, `WARNING: ${why}`)
  },
  missingLanguage(language) {
    log.limited(`language ${language}`, 'http', 1, `WARNING: Error Pages Missing Language: ${language}`)
  },
  bug(where, error) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
    log.limited(`bug ${where}`, 'http', 0, `ERROR: a fault of ours in ${where}: ${text.replaceAll('\n', ' | ')}`)
  },
  serverFailure(uri, error) {
    if (log.wants('http', 2)) log.write('http', 2, `${uri}: ${error.code}: ${error.message}`)
  },
})
