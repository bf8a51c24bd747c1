import type { Outcome } from '../../base/index.ts'
import { resultText } from '../result-text.ts'
import { clientAddress, elapsedMs, type LineMoment } from './codes.ts'
import { encode } from './encode.ts'
import { loggedUri, mediaType } from './uri-text.ts'

/**
 * `%ts.%03tu %6tr %>a %Ss/%03>Hs %<st %rm %ru %[un %Sh/%<a %mt` by hand: it is what nearly everybody uses, and one is
 * written per request. What the last line had is kept: a second has many lines, and a page's resources one type.
 */
export const squidLine = (stripQuery: boolean): ((outcome: Outcome, moment: LineMoment) => string) => {
  let second = Number.NaN
  let secondText = ''
  let uri = ''
  let uriText = '-'
  let contentType = ''
  let typeText = '-'
  return (o, moment) => {
    const now = Math.floor(moment.wallMs / 1000)
    if (now !== second) {
      second = now
      secondText = `${now}.`
    }
    const asked = o.askedUri || o.uri
    if (asked !== uri) {
      uri = asked
      uriText = loggedUri(uri, stripQuery) || '-'
    }
    if (o.contentType !== contentType) {
      contentType = o.contentType
      typeText = mediaType(contentType) || '-'
    }
    const elapsed = elapsedMs(o)
    const server = o.server === null ? '-' : o.server.address
    const user = o.user || o.helperUser
    return (
      secondText + three(Math.floor(moment.wallMs) - now * 1000) + (elapsed < 1e6 ? sixWide(elapsed) : ` ${elapsed} `) +
      (clientAddress(o) || '-') + ' ' + resultText(o) + '/' + three(o.status) + ' ' + o.responseBytes + ' ' +
      (o.method || '-') + ' ' + uriText + (user === '' ? ' - ' : ` ${encode(user, 'log')} `) + (o.icpTimedOut ? 'TIMEOUT_' : '') + o.hierarchy + '/' + server + ' ' + typeText + '\n'
    )
  }
}

const threes = Array.from({ length: 1000 }, (_, n) => String(n).padStart(3, '0'))
/** With the blanks on both sides. */
const sixes = Array.from({ length: 1000 }, (_, n) => ` ${String(n).padStart(6)} `)

const three = (n: number): string => threes[n] ?? String(n)

const sixWide = (n: number): string => sixes[n] ?? ` ${String(n).padStart(6)} `
