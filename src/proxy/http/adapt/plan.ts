import type { Connection } from '../../../../comm/connection.ts'
import type { AccessList, Condition } from '../../../acl/index.ts'
import type { Outcome } from '../../../base/index.ts'
import type { Adapted, IcapMessage, IcapServiceConfig, IcapUser } from '../../../icap/index.ts'
import { endToEndFields, type Fields, fieldLines, isFieldValue } from '../../../http/index.ts'
import type { ProgramService } from '../../stack/index.ts'
import type { Transaction } from '../transaction.ts'

// Which ICAP services and programs see a message, and what they are told of it.

/** A program of a stack line sees content as a service does. */
export type AdaptationService = IcapServiceConfig | ProgramService

/** What the proxy is handed of icap, and of stacked programs. */
export interface IcapClient {
  /** It has begun when this returns; the user hears of it later. */
  show(service: AdaptationService, message: IcapMessage, user: IcapUser, client: Connection): Shown
  up(service: AdaptationService): boolean
  bypassed(why: string): void
}

export interface Shown {
  push(piece: Buffer): boolean
  end(): void
  resume(): void
  abort(): void
}

/** A service, a set (the first that works) or a chain (all of them, in order). */
export interface AdaptationGroup {
  readonly vector: 'reqmod' | 'respmod'
  /** One step after the other; in each the first of these that works. */
  readonly steps: readonly (readonly AdaptationService[])[]
  readonly access: AccessList
}

export interface Adaptation {
  /** In the order of adaptation_access. */
  readonly groups: readonly AdaptationGroup[]
  /** Steps of the longest chain for responses. */
  readonly responseSteps: number
  readonly sendClientIp: boolean
  /** The field that carries the user's name; '' = it is not told. */
  readonly userField: string
  readonly userInBase64: boolean
  /** adaptation_masterx_shared_names: what one service says in this field of ICAP, those after it are told; '' = nothing. */
  readonly sharedName: string
  /** icap_retry_limit, and icap_retry for what: a message nothing has come of is shown to the same service again. */
  readonly retriesMax: number
  readonly retry: AccessList
  readonly meta: readonly { readonly name: string; readonly value: (outcome: Outcome) => string; readonly when: Condition }[]
}

export type Steps = AdaptationGroup['steps']

/** What a service is told beside the message. */
const aboutClient = (t: Transaction): string[] => {
  const { adaptation } = t.policy
  const pairs: string[] = []
  if (adaptation === null) return pairs
  if (adaptation.sendClientIp) pairs.push('X-Client-IP', t.addressBy(t.policy.indirectClient.adaptation))
  const user = t.facts.user || t.facts.helperUser
  if (adaptation.userField !== '' && user !== '') {
    const encode = adaptation.userInBase64 || !isFieldValue(user)
    pairs.push(adaptation.userField, encode ? Buffer.from(user).toString('base64') : user)
  }
  if (t.sharedMeta !== null) pairs.push(adaptation.sharedName, t.sharedMeta)
  for (const { name, value, when } of adaptation.meta) if (when.holds(t.facts)) pairs.push(name, value(t.outcome))
  return pairs
}

/** `responseHead` null: the request is shown. `bodyBytes` -1: not known. */
export const messageOf = (t: Transaction, responseHead: string | null, hasBody: boolean, bodyBytes: number): IcapMessage => {
  const path = (t.target?.path ?? '').replace(/[?#].*/s, '')
  return {
    method: t.head.method,
    requestHead: `${t.head.method} ${t.outcome.uri} HTTP/1.1\r\n${fieldLines(shownFields(t.fields).pairs)}\r\n`,
    responseHead,
    hasBody,
    bodyBytes,
    extension: /\.([^./]+)$/.exec(path)?.[1]?.toLowerCase() ?? '',
    pairs: aboutClient(t),
    outcome: t.outcome,
  }
}

/** RFC 3507 4.4.2: what is hop by hop is not shown; its proxies' passwords are nobody's business. */
export const shownFields = (fields: Fields): Fields => {
  const shown = endToEndFields(fields)
  shown.delete('proxy-authorization')
  return shown
}

/** What a service says beside its answer. */
export const hearService = (t: Transaction, fields: Fields): void => {
  const name = t.policy.adaptation?.sharedName ?? ''
  const value = name === '' ? undefined : fields.get(name.toLowerCase())
  if (value !== undefined) t.sharedMeta = value
}

/** icap_retry: the same service once more. `retries`: so often it was already. */
export const mayRetry = (t: Transaction, service: AdaptationService | null, retries: number): boolean => {
  const { adaptation } = t.policy
  if (adaptation === null || service === null || retries >= adaptation.retriesMax) return false
  return t.client.deps.icap.up(service) && adaptation.retry.checkFast(t.facts).allowed
}

/** The next service of a step to try; undefined = none is left. */
export const nextService = (t: Transaction, services: readonly AdaptationService[], tried: ReadonlySet<string>): AdaptationService | undefined => {
  const left = services.filter(({ name }) => !tried.has(name))
  return left.find(service => t.client.deps.icap.up(service)) ?? left[0]
}

export type { Adapted, IcapUser }
