import type { Explanation } from '../../acl/index.ts'
import type { Explained, ExplainedVariant } from './explain.ts'

// The explanation for a terminal: the verdict first, then what led to it, in the order a request meets it.

export const explainedText = (e: Explained): string => {
  const lines = [
    `${e.method} ${e.uri}`,
    label('asked', `by ${e.client} on port ${e.port}, ${e.at}`),
    label('verdict', e.verdict),
    ...(e.reuse === null ? [] : [label('because', `${e.reuse.reason}: ${e.reuse.doc}`)]),
    '',
    ...access('http_access', e.httpAccess),
    ...access('cache', e.cacheAccess),
    label('key', e.keyRule === '' ? e.key : `${e.key}, by ${e.keyRule}`),
    label('refresh', e.refreshPattern),
    ...stored(e),
    ...(e.sendHit === null ? [] : access('send_hit', e.sendHit)),
    ...(e.fetching === null ? [] : fetching(e.fetching)),
    '',
    label('storing', `a response (${e.storing.response}) would ${e.storing.kind === 'store' ? '' : 'not '}be stored: ${e.storing.reason}, ${e.storing.doc}`),
    ...(e.storeMiss === null ? [] : access('store_miss', e.storeMiss)),
    ...(e.lastRefused === null
      ? []
      : [label('last time', `${e.lastRefused.at}: the response (${e.lastRefused.status}) was not stored: ${e.lastRefused.reason}, ${e.lastRefused.doc}`)]),
  ]
  return `${lines.join('\n')}\n`
}

/** Whom a miss is fetched from, and who is not asked. */
const fetching = ({ missAccess, ways, peers }: NonNullable<Explained['fetching']>): string[] => [
  '',
  ...(missAccess === null ? [] : access('miss_access', missAccess)),
  ...(peers === null ? [] : [
    ...(peers.alwaysDirect === null ? [] : access('always_direct', peers.alwaysDirect)),
    ...(peers.neverDirect === null ? [] : access('never_direct', peers.neverDirect)),
    ...(peers.askedByIcp.length === 0 ? [] : [label('by ICP', `${peers.askedByIcp.join(', ')}: who has it, or is first to say that he has not, comes first`)]),
  ]),
  label('from', ways.map(({ peer, code }) => `${peer === '' ? 'the origin' : `cache_peer ${peer}`} (${code})`).join(', then ') || 'nobody'),
  ...(peers?.peers ?? []).filter(({ left }) => left !== '').map(({ name, left }) => label('', `  not ${name}: ${left}`)),
]

const label = (name: string, text: string): string => `${name.padEnd(12)} ${text}`

const access = (name: string, { summary, steps }: Explanation): string[] => [
  label(name, summary),
  ...steps.filter(step => !step.matched).map(step => label('', `  ${step.at.file}:${step.at.line} did not: ${mismatch(step.acls)}`)),
]

/** The last ACL asked is the one that failed. */
const mismatch = (acls: Explanation['steps'][number]['acls']): string => {
  const failed = acls.at(-1)
  return failed === undefined ? '' : `${failed.negated ? '!' : ''}${failed.acl} (${failed.fact})`
}

const stored = (e: Explained): string[] => {
  if (!e.running) return [label('stored', 'not known: no proxy runs with this conf')]
  const fetching = e.beingFetched ? ['', label('', 'it is being fetched at this moment')] : []
  if (e.variants.length === 0) return [label('stored', 'nothing'), ...fetching]
  const count = `${e.variants.length} ${e.variants.length === 1 ? 'response' : 'variants'}`
  return [label('stored', `${count}, in ${e.where.join(' and ')}`), ...e.variants.flatMap(variant), ...fetching]
}

const variant = (v: ExplainedVariant): string[] => {
  const what = v.part === null ? '' : `bytes ${v.part.first} to ${v.part.last} of ${v.part.length}, `
  const size = v.contentBytes < 0 ? 'of unknown length' : `${v.contentBytes} bytes`
  return [
    '',
    `  ${v.chosen ? '*' : ' '} ${v.status}, ${what}${size}${v.contentType === '' ? '' : `, ${v.contentType}`}${v.chosen ? '' : ': does not fit this request'}`,
    ...v.selecting.map(([name, value]) => `      for ${name}: ${value ?? '(none)'}`),
    ...v.fields.map(field => `      ${field}`),
    ...(v.tags.length === 0 ? [] : [`      tags ${v.tags.join(' ')}`]),
    ...v.sums.map(sum => `      - ${sum}`),
    ...(v.chosen ? [`      - if the origin fails: ${v.onFailure.kind === 'stale' ? 'used' : 'not used'}, ${v.onFailure.doc}`] : []),
  ]
}
