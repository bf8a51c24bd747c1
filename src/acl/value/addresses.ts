import type { Location } from '../../conf/config.ts'
import type { AclSource } from '../acl.ts'
import { type IpSet, IpSetBuilder } from '../set/ip-set.ts'
import { IpValue, remarkTexts } from './ip-value.ts'

/** A set that changes when a host name in it is resolved. */
export interface Addresses {
  set: IpSet
}

/** Overlaps told per ACL; a list of networks from the web has thousands. */
const overlapsMax = 10

/** The values of src, dst or localip. */
export const readAddresses = (source: AclSource): Addresses => {
  const values = source.definition.values
  const builder = new IpSetBuilder(values.length)
  const names: { readonly name: string; readonly at: Location; addresses: readonly string[] }[] = []
  const reader = new IpValue()
  for (let i = 0; i < values.length; i++) {
    const value = values[i]
    if (value === undefined) continue
    reader.read(value.text)
    addTo(builder, reader, i)
    if (reader.kind === 'name') names.push({ name: value.text, at: value.at, addresses: [] })
    if (reader.remark !== '') {
      const severity = reader.kind === 'bad' ? 'fatal' : reader.remark === 'dotted-mask' ? 'note' : 'warning'
      source.report(severity, value.at, remarkTexts[reader.remark](value.text), reader.hint)
    }
  }
  const addresses: Addresses = { set: builder.build(overlapReporter(source)) }
  // the definition's own may be let go once all is compiled
  const texts = names.length === 0 ? [] : values.map(value => value.text)
  for (const entry of names) {
    source.hostName(entry.name, entry.at, resolved => {
      entry.addresses = resolved
      addresses.set = withNames([...texts, ...names.flatMap(name => name.addresses)])
    })
  }
  return addresses
}

const addTo = (builder: IpSetBuilder, value: IpValue, i: number): void => {
  if (value.kind === 'v4') builder.addV4(value.start, value.end, i)
  else if (value.kind === 'v6') builder.addV6(value.range, i)
  else if (value.kind === 'all') {
    builder.addV4(0, 0xffffffff, i)
    builder.addV6(everyV6, i)
  }
}

/** Built anew: names are few, and resolved once or twice in a life. */
const withNames = (texts: readonly string[]): IpSet => {
  const builder = new IpSetBuilder()
  const reader = new IpValue()
  for (const text of texts) {
    reader.read(text)
    addTo(builder, reader, 0)
  }
  return builder.build()
}

const overlapReporter = (source: AclSource) => {
  let count = 0
  return ({ inner, outer, whole }: { readonly inner: number; readonly outer: number; readonly whole: boolean }): void => {
    const value = source.definition.values[inner]
    const wider = source.definition.values[outer]
    if (value === undefined || wider === undefined || value.at.line === 0) return // nobody can remove a built-in value
    if (++count > overlapsMax) return
    const more = count === overlapsMax ? '; further overlaps in this ACL are not listed' : ''
    const message = whole
      ? `'${value.text}' is part of '${wider.text}' in ACL '${source.definition.name}'${more}`
      : `'${value.text}' and '${wider.text}' overlap in ACL '${source.definition.name}'${more}`
    source.report('warning', value.at, message, whole ? 'it can be removed' : '')
  }
}

const everyV6 = new Uint32Array([0, 0, 0, 0, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff])
