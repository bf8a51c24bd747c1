import { type AclSource, type AclType } from '../acl.ts'
import { matched, mismatched } from '../match.ts'
import { isWithin, type Zone } from '../zone/zone-table.ts'

/** The client's zone is one of these, or administered by one. */
export const srcZone = {
  fact: facts => `client ${facts.client.address}`,
  compile: source => {
    const holds = readZones(source)
    return facts => (holds(source.zones.of(facts.clientKey)) ? matched : mismatched)
  },
} satisfies AclType

/** By number, so that asking costs one load. */
export const readZones = (source: AclSource): ((zone: Zone | null) => boolean) => {
  const { zones } = source.zones
  const named = source.definition.values.flatMap(({ text, at }) => {
    const zone = source.zones.named(text)
    if (zone === undefined) source.report('fatal', at, `there is no zone '${text}'`)
    return zone ?? []
  })
  const held = Uint8Array.from(zones, zone => (named.some(ancestor => isWithin(zone, ancestor)) ? 1 : 0))
  return zone => zone !== null && held[zone.number] === 1
}
