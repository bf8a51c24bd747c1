import { endpointText, errorTable, type Outcome } from '../base/index.ts'
import type { DebugLog } from './debug-log.ts'
import type { DebugSection } from './debug-sections.ts'
import { withoutSecrets } from './format/secrets.ts'
import { loggedUri } from './format/uri-text.ts'
import { resultText } from './result-text.ts'

// What cache.log says of a transaction at levels 2 and 3, from its record: each room's decision under that room's section.
// `11,2` shows the heads, as in Squid. Secrets are masked as in any log.

/** Called once per transaction, and only where log.verbose. */
export const traceRecord = (log: DebugLog, o: Outcome, stripQuery: boolean): void => {
  const tell = (section: DebugSection, level: number, text: string): void => {
    if (text !== '' && log.wants(section, level)) log.write(section, level, `${o.sessionId || o.portName}: ${text}`)
  }
  const uri = loggedUri(o.uri, stripQuery)
  tell('nat', 3, o.taken === 'direct' ? '' : `taken by ${o.taken}, was going to ${endpointText(o.clientLocal)}`)
  tell('tls', 3, clientTlsText(o))
  if (log.wants('http', 2)) tell('http', 2, `request of the client:\n${o.method} ${uri} HTTP/1.${o.versionMinor}\n${head(o.requestFields)}`)
  tell('acl', 3, o.accessLine === '' ? '' : `http_access: ${o.result.startsWith('TCP_DENIED') ? 'denied' : 'allowed'} by ${o.accessLine}${o.user === '' ? '' : `, user ${o.user}`}`)
  tell('icap', 3, (o.adaptations ?? []).map(one => `${one.service} ${one.outcome} in ${Math.floor(one.tookMs)} ms`).join(', '))
  tell('refresh', 3, o.reuseReason === '' ? '' : `stored response: ${o.reuseReason}`)
  tell('cache', 3, o.storeReason === '' ? '' : `storing: ${o.storeReason}`)
  tell('dns', 3, o.dnsMs < 0 ? '' : `names took ${Math.floor(o.dnsMs)} ms`)
  tell('router', 3, o.hierarchy === 'HIER_NONE' ? '' : `${o.hierarchy}${o.peer === '' ? '' : ` ${o.peer}`}`)
  tell('chainer', 3, serverText(o))
  tell('tls', 3, serverTlsText(o))
  tell('tunnel', 3, o.result === 'TCP_TUNNEL' ? `ended: ${o.errorDetail || 'done'}` : '')
  if (log.wants('http', 2)) tell('http', 2, `response to the client:\nHTTP/1.1 ${o.status}\n${head(o.responseFields)}`)
  tell('client', 2, summary(o, uri))
}

const summary = (o: Outcome, uri: string): string => {
  const ms = Math.max(0, Math.floor(o.endedMono - o.startedMono))
  const error = o.error === null ? '' : `, ${o.error} (${errorTable[o.error].page})${o.errorDetail === '' ? '' : `: ${withoutSecrets('', o.errorDetail)}`}`
  return `${endpointText(o.client)} ${o.method} ${uri}: ${resultText(o)}/${o.status}, ${o.responseBytes} bytes in ${ms} ms${error}`
}

const serverText = ({ server, serverLocal, forged, attempts, serverStatus, serverTotalMs }: Outcome): string => {
  if (server === null) return ''
  const from = serverLocal === null ? '' : ` from ${endpointText(serverLocal)}${forged ? ", the client's address" : ''}`
  return `${endpointText(server)}${from}: status ${serverStatus || 'none'}, ${attempts} tried, ${Math.max(0, Math.floor(serverTotalMs))} ms`
}

const clientTlsText = ({ clientTls }: Outcome): string => {
  if (clientTls === null) return ''
  const { bumpMode, sni, helloVersion, supportedVersion, version, cipher } = clientTls
  return `with the client: ${[bumpMode, sni, helloVersion, supportedVersion, version, cipher].map(word => word || '-').join(' ')}`
}

const serverTlsText = ({ serverTls }: Outcome): string => {
  if (serverTls === null) return ''
  const errors = serverTls.errors.map(({ name, depth }) => `${name}@${depth}`).join(' ')
  return `with the server: ${serverTls.version} ${serverTls.cipher} ${serverTls.subject}${errors === '' ? '' : `, wrong: ${errors}`}`
}

const head = (fields: Outcome['requestFields']): string => {
  const lines: string[] = []
  const pairs = fields?.pairs ?? []
  for (let i = 0; i + 1 < pairs.length; i += 2) lines.push(`${pairs[i]}: ${withoutSecrets((pairs[i] ?? '').toLowerCase(), pairs[i + 1] ?? '')}`)
  return lines.join('\n')
}
