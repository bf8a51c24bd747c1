import type { Peer } from '../../peer/peer.ts'
import type { OriginRequest } from '../../chainer/chainer.ts'
import { authorityText, type Fields, hostText, lowerName, requestHeadText } from '../../http/index.ts'
import { ruledPairs } from './field-rules.ts'
import type { Transaction } from './transaction.ts'

// What a request to a cache_peer says otherwise than one to an origin: its target, who we are there, and of a sibling no
// more than it has.

/** A proxy is told the whole URI (RFC 9112 3.2.2); an origin behind us what it would be told anyway. */
export const peerRequest = (t: Transaction, peer: Peer, request: OriginRequest): OriginRequest => ({
  ...request,
  target: targetFor(t, peer, request.target),
  pairs: peerPairs(t, peer, request.pairs),
})

/** `target`: as an origin would read it. */
export const targetFor = (t: Transaction, peer: Peer, target: string): string => {
  if (t.target === null || peer.line.originServer) return target
  const { scheme, host, port } = t.target
  // RFC 9112 3.2.4: "*" has no path of its own
  return `${scheme}://${authorityText(scheme, host, port)}${target === '*' ? '' : target}`
}

/** The fields of `pairs` as this peer is to read them. */
export const peerPairs = (t: Transaction, peer: Peer, pairs: readonly string[]): string[] => {
  const { line } = peer
  const out: string[] = []
  const asOrigin = line.originServer
  for (let i = 0; i + 1 < pairs.length; i += 2) {
    const name = pairs[i] as string // within by the loop
    const value = pairs[i + 1] as string
    const lower = lowerName(name)
    if (lower === 'host' && line.forcedDomain !== '') out.push('Host', line.forcedDomain)
    // Squid: what clients say to the site is for the accelerator, unless login= says that it is to be passed
    else if (lower === 'authorization' && asOrigin && !passesLogin(peer)) continue
    else out.push(name, value)
  }
  const login = loginFor(t, peer)
  if (login !== null && !(asOrigin && has(out, 'authorization'))) out.push(asOrigin ? 'Authorization' : 'Proxy-Authorization', login)
  if (isHttps(t, peer)) out.push('Front-End-Https', 'On')
  return out
}

/**
 * Whoever asks for https does not expect it to be read on the way: where nothing else hides it from others, it goes through a
 * tunnel. Squid does so for what it has decrypted itself, and sends what clients ask for in clear on in clear.
 */
export const isTunnelled = (t: Transaction, { tls, line }: Peer): boolean =>
  t.target?.scheme === 'https' && tls === null && !line.originServer

/** The CONNECT request for it, with no more than the parent must know. */
export const connectText = (t: Transaction, peer: Peer): string => {
  const authority = `${hostText(t.target?.host ?? '')}:${t.targetPort}`
  return requestHeadText('CONNECT', authority, peerPairs(t, peer, ['Host', authority]))
}

/** A sibling gives what it has and fetches nothing for us, unless allow-miss says so. */
export const onlyIfCached = (pairs: readonly string[]): string[] => {
  const out = [...pairs]
  for (let i = 0; i + 1 < out.length; i += 2) {
    if (lowerName(out[i] as string) !== 'cache-control') continue
    out[i + 1] = `${out[i + 1]}, only-if-cached`
    return out
  }
  out.push('Cache-Control', 'only-if-cached')
  return out
}

/** login=PASS and PASSTHRU: what the client says of itself is for the peer, and what the peer asks is for the client. */
export const passesLogin = ({ line: { login } }: Peer): boolean => login === 'PASS' || login === 'PASSTHRU' || login === 'PROXYPASS'

/** What a proxy behind us asks of the client, who is to answer it himself. */
export const passChallenges = (fields: Fields, sent: Fields): void => {
  for (let i = 0; i < fields.size; i++) {
    const lower = fields.lowerAt(i)
    if (lower === 'proxy-authenticate' || lower === 'proxy-authentication-info') sent.append(fields.nameAt(i), fields.valueAt(i))
  }
}

/** The text of (Proxy-)Authorization; null = there is none. */
const loginFor = (t: Transaction, peer: Peer): string | null => {
  const { login, originServer } = peer.line
  if (login === '') return null
  const said = t.fields.get('proxy-authorization')
  if (passesLogin(peer)) {
    if (!originServer) return said === undefined ? null : allowed(t, said)
    return login === 'PROXYPASS' && said !== undefined && /^basic /i.test(said) ? said : null
  }
  if (!login.startsWith('*')) return basic(decodedLogin(login))
  return basic(`${t.outcome.user || t.outcome.helperUser || '-'}${login.slice(1)}`)
}

/** request_header_access has a word in what is the client's. */
const allowed = (t: Transaction, said: string): string | null => {
  const rules = t.policy.requestFields
  if (rules === null) return said
  const kept = ruledPairs(rules, ['Proxy-Authorization', said], t.facts, t.outcome)
  const at = kept.findIndex((name, i) => i % 2 === 0 && lowerName(name) === 'proxy-authorization')
  return at < 0 ? null : (kept[at + 1] ?? null)
}

const basic = (text: string): string => `Basic ${Buffer.from(text, 'latin1').toString('base64')}`

/** Squid: %XX in a login is a byte, so that a colon or a blank can be written. */
const decodedLogin = (login: string): string =>
  login.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))

const has = (pairs: readonly string[], lower: string): boolean => pairs.some((name, i) => i % 2 === 0 && lowerName(name) === lower)

const isHttps = (t: Transaction, { line }: Peer): boolean =>
  line.frontEndHttps === 'on' || (line.frontEndHttps === 'auto' && t.target?.scheme === 'https')
