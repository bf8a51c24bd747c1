import { errorTable, type ProxyError } from '../../base/index.ts'
import { httpDate, reasonPhrase } from '../../http/index.ts'
import { errnoNumber, type PageMoment, product } from './page-template.ts'
import type { Transaction } from './transaction.ts'

// The page a client sees when we, not the origin, answer. Names and status are Squid's, the words are ours. A page tells
// what happened and who can help, never a path or a stack of this machine.

export interface ErrorPage {
  readonly status: number
  readonly reason: string
  /** name, value, ... without Connection and without its end. */
  readonly pairs: string[]
  readonly content: Buffer
}

/** `detail`: what may be shown of the failure. */
export const errorPage = (t: Transaction, failure: ProxyError, detail: string): ErrorPage => {
  const line = errorTable[failure.code]
  const denial = t.denial
  const moment: PageMoment = { t, failure, page: line.page, detail }
  if (denial?.kind === 'redirect') {
    const location = denial.location.uri(moment, t.policy.errorPages.texts)
    return answer(t, denial.status || usualRedirect(t), ['Location', location, 'X-Squid-Error', `${denial.status || line.status} Access Denied`], '')
  }
  const page = denial?.kind === 'page' ? denial.page : line.page
  const status = (denial?.kind === 'page' ? denial.status : 0) || line.status || 500
  const accepted = t.parsed?.fields.joined('accept-language')
  const found = t.policy.errorPages.find(page, accepted)
  const { template, language } = found
  if (t.policy.tellsMissingLanguages) {
    const missing = t.policy.errorPages.missing(found, accepted)
    if (missing !== '') t.client.deps.notices.missingLanguage(missing)
  }
  // Squid: as deny_info has it
  const shownAs = denial?.kind === 'page' && denial.status !== 0 ? `${denial.status}:${page}` : page
  const pairs = ['X-Squid-Error', `${shownAs} ${errnoNumber(failure.errno)}`]
  if (t.policy.errorPages.negotiates) pairs.push('Vary', 'Accept-Language')
  if (language !== null) pairs.push('Content-Language', language)
  return answer(t, status, pairs, template.html({ ...moment, page }, t.policy.errorPages.texts))
}

/** A browser repeats a POST as a GET after 302. */
const usualRedirect = (t: Transaction): number =>
  t.outcome.versionMinor === 0 || t.outcome.method === 'GET' || t.outcome.method === 'HEAD' ? 302 : 307

const answer = (t: Transaction, status: number, pairs: readonly string[], html: string): ErrorPage => {
  const content = Buffer.from(html, 'utf8')
  return {
    status,
    reason: reasonPhrase(status),
    content,
    pairs: [
      'Server', product(t),
      'Date', httpDate(t.outcome.startedAt),
      'Content-Type', 'text/html;charset=utf-8',
      'Content-Length', String(content.length),
      ...pairs,
      // an error of ours says nothing about the resource: no cache further out may keep it
      'Cache-Control', 'no-store',
    ],
  }
}
