import { domainToASCII } from 'node:url'
import { canonicalAddress } from '../../base/index.ts'
import type { AclSource } from '../acl.ts'
import { type DomainSet, DomainSetBuilder } from '../set/domain-set.ts'

/** Overlaps told per ACL. */
const overlapsMax = 10

/** The values of dstdomain: `.x.org` = x.org and all below it, `x.org` = that name alone. */
export const readDomains = (source: AclSource): DomainSet => {
  const { values } = source.definition
  const builder = new DomainSetBuilder(values.length, values.reduce((bytes, value) => bytes + value.text.length, 0))
  for (const value of values) {
    const read = readDomain(value.text)
    if (read.remark !== '') source.report('warning', value.at, read.remark, read.hint)
    if (read.name !== '') builder.add(read.name, read.below)
  }
  const set = builder.build()
  reportOverlaps(source, set)
  return set
}

interface DomainValue {
  /** Without a leading dot; '' = it can match nothing and is left out. */
  readonly name: string
  readonly below: boolean
  readonly remark: string
  readonly hint: string
}

const readDomain = (text: string): DomainValue => {
  if (text.startsWith('*.')) {
    const meant = text.slice(1)
    return { ...readDomain(meant), remark: `'${text}' is read as '${meant}'`, hint: `write ${meant}` }
  }
  const below = text.startsWith('.')
  const bare = below ? text.slice(1) : text
  if (bare === '') return nothing(`'${text}' is no domain name`, '')
  const url = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)/i.exec(text)
  if (url !== null) {
    return nothing(`'${text}' is a URL and matches nothing`, `write ${withoutPort(url[1] ?? '')}, or use url_regex`)
  }
  const address = canonicalAddress(bare)
  if (address !== null) return { name: address, below, remark: '', hint: '' }
  if (/:\d*$/.test(bare)) return nothing(`'${text}' has a port and matches nothing`, `write ${withoutPort(text)}`)
  if (/[/?#*@\s]/.test(bare)) {
    const use = /[*?]/.test(bare) ? 'use dstdom_regex' : 'use url_regex'
    return nothing(`'${text}' is no domain name and matches nothing`, use)
  }
  const name = bare.endsWith('.') ? bare.slice(0, -1) : bare
  if (name === '' || name.startsWith('.') || name.includes('..')) return nothing(`'${text}' is no domain name and matches nothing`, 'one dot between the words')
  if (/[^\0-\x7f]/.test(name)) return international(text, name, below)
  return { name, below, remark: '', hint: '' }
}

/** Names travel in their ASCII form. */
const international = (text: string, name: string, below: boolean): DomainValue => {
  const ascii = domainToASCII(name)
  if (ascii === '') return nothing(`'${text}' is no domain name`, '')
  const remark = `'${text}' is read as '${below ? '.' : ''}${ascii}'`
  return { name: ascii, below, remark, hint: 'that is how the name travels' }
}

const nothing = (remark: string, hint: string): DomainValue => ({ name: '', below: false, remark, hint })

const withoutPort = (text: string): string => text.replace(/^[^@]*@/, '').replace(/:\d*$/, '')

/** Fatal up to Squid 6; harmless, but often a sign that the longer name was meant to be the exception. */
const reportOverlaps = (source: AclSource, set: DomainSet): void => {
  let count = 0
  for (const value of source.definition.values) {
    const { name, below } = readDomain(value.text)
    if (name === '') continue
    const covered = set.coveredBelow(name) || (!below && set.has(`x.${name}`))
    if (!covered) continue
    if (++count > overlapsMax) return
    const more = count === overlapsMax ? '; further ones in this ACL are not listed' : ''
    const message = `'${value.text}' is covered by a wider name in ACL '${source.definition.name}'${more}`
    source.report('warning', value.at, message, 'it can be removed')
  }
}
