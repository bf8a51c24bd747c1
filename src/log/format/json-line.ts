import { errorTable, type Outcome } from '../../base/index.ts'
import { resultText } from '../result-text.ts'
import { clientAddress, elapsedMs, type LineMoment } from './codes.ts'
import { jsonSafe } from './encode.ts'
import { withoutSecrets } from './secrets.ts'
import { loggedUri, mediaType } from './uri-text.ts'

// logformat=json: one object a line, with the record's own facts: what `squid` has, and why. Names stay; new ones come
// behind. What is not known is null, and numbers that were not measured are too.

export const jsonLine = (stripQuery: boolean): ((outcome: Outcome, moment: LineMoment) => string) => (o, moment) =>
  `{"time":"${new Date(moment.wallMs).toISOString()}","duration_ms":${elapsedMs(o)},"initiator":"${o.initiator}"` +
  `,"client":${text(clientAddress(o))},"client_port":${o.client.port},"local":${text(o.clientLocal.address)},"local_port":${o.clientLocal.port}` +
  `,"listener":${text(o.portName)},"taken":"${o.taken}","session":${text(o.sessionId)}` +
  `,"method":${text(o.method)},"uri":${text(loggedUri(o.uri, stripQuery))},"version":"1.${o.versionMinor}"` +
  `,"referer":${field(o, 'referer')},"user_agent":${field(o, 'user-agent')}` +
  `,"result":"${resultText(o)}","status":${o.status},"hierarchy":"${o.hierarchy}"` +
  `,"server":${text(o.server?.address ?? '')},"server_port":${o.server?.port ?? 'null'},"forged":${o.forged},"attempts":${o.attempts},"server_status":${o.serverStatus || 'null'}` +
  `,"type":${text(mediaType(o.contentType))},"bytes_in":${o.requestHeadBytes + o.requestContentBytes},"bytes_out":${o.responseBytes},"server_bytes":${measured(o.serverContentBytes)}` +
  `,"server_ms":${measured(o.serverTotalMs)},"dns_ms":${measured(o.dnsMs)}` +
  `,"rule":${text(o.accessLine)},"reuse":${text(o.reuseReason)},"store":${text(o.storeReason)}` +
  `,"error":${text(o.error ?? '')},"error_page":${text(o.error === null ? '' : errorTable[o.error].page)},"error_detail":${text(o.errorDetail)},"peer":${text(o.peer)}` +
  `,"user":${text(o.user || o.helperUser)},"tag":${text(o.tag)},"asked_uri":${text(o.askedUri === '' ? '' : loggedUri(o.askedUri, stripQuery))},"collapsed":${o.collapsed}` +
  `,"bump":${text(o.clientTls?.bumpMode ?? '')},"sni":${text(o.clientTls?.sni ?? '')},"tls":${text(o.clientTls?.version ?? '')},"server_tls":${text(o.serverTls?.version ?? '')}}\n`

const text = (value: string): string => (value === '' ? 'null' : `"${jsonSafe(value)}"`)

const measured = (value: number): number | null => (value < 0 ? null : Math.floor(value))

const field = (o: Outcome, name: string): string => text(withoutSecrets(name, o.requestFields?.joined(name) ?? ''))
