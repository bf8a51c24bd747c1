import { constants } from 'node:os'
import type { ProxyError } from '../../base/index.ts'
import { httpDate } from '../../http/index.ts'
import { faultText } from '../../tls/index.ts'
import type { Transaction } from './transaction.ts'

// Error pages and the locations of deny_info: a text with %codes, Squid's. What a code stands for comes from peers, so it
// is escaped for HTML, or for a URI; the few that are HTML of the conf's own are not.

export interface PageMoment {
  readonly t: Transaction
  readonly failure: ProxyError
  /** The page's name. */
  readonly page: string
  /** What may be shown of the failure; '' = nothing. */
  readonly detail: string
}

/** What the conf says about pages. */
export interface PageTexts {
  /** err_page_stylesheet, its content. */
  readonly stylesheet: string
  /** err_html_text. */
  readonly html: string
  /** email_err_data. */
  readonly mailData: boolean
}

type Part = string | Code

interface Code {
  readonly value: (moment: PageMoment, texts: PageTexts) => string
  /** It is HTML already. */
  readonly html?: true
  /** Says nothing in a URI. */
  readonly pagesOnly?: true
  /** In a URI it stands for something else; escaped unless `uri`. */
  readonly inUri?: (moment: PageMoment) => string
  /** Belongs into a URI as it stands. */
  readonly uri?: true
}

export class PageTemplate {
  readonly #parts: readonly Part[]

  /** Unknown codes stay as they are written, as in Squid. */
  constructor(text: string) {
    const parts: Part[] = []
    let from = 0
    for (let at = text.indexOf('%'); at >= 0; at = text.indexOf('%', from)) {
      const letter = text[at + 1] ?? ''
      const code = Object.hasOwn(codes, letter) ? codes[letter] : undefined
      parts.push(text.slice(from, at), code ?? `%${letter}`)
      from = at + 2
    }
    parts.push(text.slice(from))
    this.#parts = parts
  }

  html(moment: PageMoment, texts: PageTexts): string {
    return this.#parts.map(part => (typeof part === 'string' ? part : part.html ? part.value(moment, texts) : escapeHtml(clip(part.value(moment, texts))))).join('')
  }

  /** For Location. Never more than one line: what is not a character of URIs is escaped. */
  uri(moment: PageMoment, texts: PageTexts): string {
    return this.#parts
      .map(part => {
        if (typeof part === 'string') return part
        const value = part.inUri?.(moment) ?? (part.pagesOnly ? '' : part.value(moment, texts))
        return part.uri ? value : encodeURIComponent(clip(value.toWellFormed()))
      })
      .join('')
      .replace(/[\0-\x20\x7f"<>]/g, c => encodeURIComponent(c))
  }
}

const absent = '-'
const shownMax = 2000

const clip = (text: string): string => (text.length > shownMax ? `${text.slice(0, shownMax)}…` : text)

export const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, c => `&#${c.charCodeAt(0)};`)

/** As Squid writes it; what has no number here is 0. */
export const errnoNumber = (name: string): number => {
  const number: unknown = Reflect.get(constants.errno, name)
  return typeof number === 'number' ? number : 0
}

export const product = (t: Transaction): string => (t.policy.version === '' ? 'glassquid' : `glassquid/${t.policy.version}`)

const headOf = ({ t }: PageMoment): string => {
  if (t.parsed === null) return ''
  const lines = [`${t.head.method} ${t.head.target} HTTP/1.${t.head.versionMinor}`]
  for (let i = 0; i < t.fields.size; i++) {
    const secret = /^(?:proxy-)?authorization$|^cookie$/.test(t.fields.lowerAt(i))
    lines.push(`${t.fields.nameAt(i)}: ${secret ? '...' : t.fields.valueAt(i)}`)
  }
  return lines.join('\n')
}

/** What of an error an administrator wants to be told, as the end of a mailto: URI. */
const mailData = (moment: PageMoment): string => {
  const { t, page, failure } = moment
  const lines = [
    `CacheHost: ${t.policy.hostname}`,
    `ErrPage: ${page}`,
    `Err: ${failure.errno === '' ? '[none]' : failure.errno}`,
    `TimeStamp: ${httpDate(t.outcome.startedAt)}`,
    '',
    `ClientIP: ${t.outcome.client.address}`,
    `ServerIP: ${t.outcome.server?.address ?? ''}`,
    '',
    'HTTP Request:',
    clip(headOf(moment)),
  ]
  const subject = encodeURIComponent(`CacheErrorInfo - ${page}`)
  return `?subject=${subject}&body=${encodeURIComponent(lines.join('\r\n').toWellFormed())}`
}

/** What is wrong with the server's certificate, and whose it is. */
const tlsDetail = ({ t, failure }: PageMoment): string => {
  const text = failure.code === 'secure-connect-failed' ? faultText(failure.fault) : ''
  const subject = t.outcome.serverTls?.subject ?? ''
  return text === '' || subject === '' ? text : `${text}: ${subject}`
}

const codes: Readonly<Record<string, Code>> = {
  a: { value: ({ t }) => t.outcome.user || t.outcome.helperUser || absent },
  A: { value: ({ t }) => t.client.connection.local.address },
  b: { value: ({ t }) => String(t.client.connection.local.port) },
  B: { value: ({ t }) => t.outcome.uri, pagesOnly: true },
  c: { value: ({ page }) => page },
  d: { value: ({ t }) => String(Math.max(0, Math.floor((t.client.deps.clock.mono() - t.outcome.startedMono) / 1000))) },
  D: { value: moment => tlsDetail(moment) || '[No Error Detail]' },
  e: { value: ({ failure }) => String(errnoNumber(failure.errno)) },
  E: { value: ({ failure }) => (failure.errno === '' ? '[No Error]' : `(${errnoNumber(failure.errno)}) ${failure.errno}`) },
  f: { value: () => 'nothing', pagesOnly: true },
  F: { value: () => 'nothing', pagesOnly: true },
  g: { value: () => '', pagesOnly: true },
  h: { value: ({ t }) => t.policy.hostname },
  H: { value: ({ t }) => t.target?.host ?? '' },
  i: { value: ({ t }) => t.client.connection.peer.address },
  I: { value: ({ t }) => t.outcome.server?.address ?? '' },
  l: { value: (_, texts) => texts.stylesheet, html: true, pagesOnly: true },
  L: { value: (_, texts) => texts.html, html: true, pagesOnly: true },
  m: { value: ({ t }) => t.facts.proof?.message || '[not available]', pagesOnly: true },
  M: { value: ({ t }) => t.outcome.method },
  o: { value: ({ t }) => t.outcome.helperMessage },
  O: { value: ({ t }) => t.outcome.helperMessage, html: true, pagesOnly: true },
  p: { value: ({ t }) => String(t.targetPort) },
  P: { value: ({ t }) => t.target?.scheme ?? '' },
  R: { value: moment => headOf(moment), inUri: ({ t }) => t.target?.path || '/', uri: true },
  s: { value: ({ t }) => product(t), inUri: ({ t }) => t.outcome.uri },
  S: { value: ({ t }) => `<p>${escapeHtml(httpDate(t.outcome.startedAt))}, ${escapeHtml(t.policy.hostname)} (${escapeHtml(product(t))})</p>`, html: true, inUri: ({ t }) => product(t) },
  t: { value: ({ t }) => new Date(t.outcome.startedAt).toString() },
  T: { value: ({ t }) => httpDate(t.outcome.startedAt) },
  u: { value: ({ t }) => t.outcome.uri.replace(/\?.*$/s, ''), inUri: ({ t }) => t.outcome.uri },
  U: { value: ({ t }) => t.outcome.uri },
  w: { value: ({ t }) => t.policy.administrator },
  W: { value: (moment, texts) => (texts.mailData ? mailData(moment) : ''), pagesOnly: true },
  x: { value: ({ failure }) => failure.fault || failure.code },
  z: { value: ({ failure }) => (failure.code === 'dns-failed' ? failure.errno || failure.code : ''), pagesOnly: true },
  Z: { value: ({ detail }) => detail, pagesOnly: true },
  '%': { value: () => '%' },
}
