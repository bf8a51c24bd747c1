import { constants } from 'node:os'
import { type ErrorCode, errorTable, type WallMs } from '../../base/index.ts'
import { httpDate, reasonPhrase } from '../../http/index.ts'

// The page a client sees when we, not the origin, answer. Names and status are Squid's, the words are ours. A page tells
// what happened and who can help, never an address, a path or a stack of this machine.

export interface ErrorPageFacts {
  readonly code: ErrorCode
  /** What was asked for, as far as known; shown escaped. */
  readonly uri: string
  /** One sentence from whoever refused; shown escaped. */
  readonly detail: string
  /** errno name, its number stands in X-Squid-Error; '' = 0. */
  readonly errno: string
  readonly hostname: string
  /** '' hides the version (httpd_suppress_version_string). */
  readonly version: string
  readonly administrator: string
  readonly now: WallMs
}

export interface ErrorPage {
  readonly status: number
  readonly reason: string
  /** name, value, ... without Connection and without its end. */
  readonly pairs: string[]
  readonly content: Buffer
}

const explanations = {
  'bad-request': 'The request could not be understood. It was refused rather than guessed at.',
  'bad-target': 'The address that was asked for is not a valid one.',
  denied: 'Access control does not allow this request here.',
  loop: 'The request has already been through this proxy.',
  'direct-hit': 'This port serves intercepted connections only; it was contacted directly.',
  'host-conflict': 'The name in the request does not belong to the address it was sent to.',
  'request-timeout': 'The request did not arrive completely in time.',
  'length-required': 'The length of the content of this request cannot be told.',
  'content-too-large': 'The content of this request is larger than allowed here.',
  'uri-too-long': 'The address that was asked for is too long.',
  'expectation-failed': 'The request expects something this proxy cannot do.',
  'head-too-large': 'The header of this request is larger than allowed here.',
  'unsupported-method': 'The method, scheme or coding of this request is not supported.',
  'unsupported-version': 'Only HTTP/1.0 and HTTP/1.1 are spoken here.',
  'bad-response': 'The server answered with something that is not valid HTTP.',
  'response-head-too-large': 'The header of the response is larger than allowed here.',
  'empty-response': 'The server closed the connection without an answer.',
  'read-error': 'The connection to the server broke while its answer was read.',
  'write-error': 'The connection to the server broke while the request was sent.',
  'connect-failed': 'The server could not be reached.',
  'connect-timeout': 'The server did not accept the connection in time.',
  'read-timeout': 'The server did not answer in time.',
  'dns-failed': 'The name of the server could not be resolved.',
  'no-route': 'There is no server this request may be sent to.',
  'spoof-failed': 'The connection to the server could not be made on behalf of the client.',
  'socket-failed': 'The proxy could not open a connection just now.',
  'only-if-cached': 'The client asked for a stored response only, and none is stored.',
  'stale-forbidden': 'The stored response is too old, and the server could not be asked for a new one.',
  lifetime: 'This connection has lasted longer than allowed.',
  'shutting-down': 'The proxy is being shut down.',
  overload: 'The proxy is handling as many requests as it is allowed to.',
  'client-aborted': 'The client went away.',
  'client-stalled': 'The client stopped reading or sending.',
  internal: 'The proxy failed to handle this request.',
} as const satisfies Record<ErrorCode, string>

export const errorPage = (facts: ErrorPageFacts): ErrorPage => {
  const line = errorTable[facts.code]
  const status = line.status === 0 ? 500 : line.status
  const reason = reasonPhrase(status)
  const content = Buffer.from(htmlOf(facts, line.page, status, reason), 'utf8')
  return {
    status,
    reason,
    content,
    pairs: [
      'Server', facts.version === '' ? 'glassquid' : `glassquid/${facts.version}`,
      'Date', httpDate(facts.now),
      'Content-Type', 'text/html;charset=utf-8',
      'Content-Length', String(content.length),
      'X-Squid-Error', `${line.page} ${errnoNumber(facts.errno)}`,
      'Vary', 'Accept-Language',
      'Content-Language', 'en',
      // an error of ours says nothing about the resource: no cache further out may keep it
      'Cache-Control', 'no-store',
    ],
  }
}

const htmlOf = (facts: ErrorPageFacts, page: string, status: number, reason: string): string => {
  const detail = facts.detail === '' ? '' : `<p>${escapeHtml(facts.detail)}</p>\n`
  const administrator =
    facts.administrator === ''
      ? ''
      : `<p>The administrator of this proxy is <a href="mailto:${escapeHtml(facts.administrator)}">${escapeHtml(facts.administrator)}</a>.</p>\n`
  return `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>${status} ${reason}</title></head>
<body id="${page}">
<h1>${status} ${reason}</h1>
<p>${explanations[facts.code]}</p>
${detail}<p>Requested: <code>${escapeHtml(clip(facts.uri))}</code></p>
${administrator}<hr><p>Generated by ${escapeHtml(facts.hostname)} (${facts.version === '' ? 'glassquid' : `glassquid/${facts.version}`}), ${page}</p>
</body></html>
`
}

const shownMax = 2000

const clip = (text: string): string => (text.length > shownMax ? `${text.slice(0, shownMax)}…` : text)

const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, c => `&#${c.charCodeAt(0)};`)

/** As Squid writes it; what has no number here is 0. */
const errnoNumber = (name: string): number => {
  const number: unknown = Reflect.get(constants.errno, name)
  return typeof number === 'number' ? number : 0
}
