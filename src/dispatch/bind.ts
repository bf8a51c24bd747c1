import type { Interface, Interfaces } from '../../comm/index.ts'
import { type Endpoint, endpoint } from '../base/index.ts'
import type { BindConfig, BindPlace } from '../conf/config.ts'

// What a bind of the conf stands for now: an endpoint for each of its ports, at its address, or at each address its
// interfaces have at this moment.

export interface BoundPlace {
  readonly endpoint: Endpoint
  /** An address that means something on one interface only is bound together with it. */
  readonly device: string | null
  readonly dualStack: boolean
}

export const boundPlaces = ({ place, first, last }: BindConfig, interfaces: () => Interfaces): BoundPlace[] => {
  const places: BoundPlace[] = []
  for (const { address, device, dualStack } of addressesOf(place, interfaces)) {
    for (let port = first; port <= last; port++) places.push({ endpoint: endpoint(address, port), device, dualStack })
  }
  return places
}

/** Null, or why the bind can never mean anything here. An interface that is not there may still come. */
export const whyNotBound = ({ place }: BindConfig, interfaces: () => Interfaces): string | null => {
  if (place.kind !== 'group' || interfaces().groupNumber(place.name) !== null) return null
  return `'${place.name}' is no interface group: /etc/iproute2/group has no line for it, and it is no number`
}

interface BoundAddress {
  readonly address: string
  readonly device: string | null
  readonly dualStack: boolean
}

const addressesOf = (place: BindPlace, interfaces: () => Interfaces): BoundAddress[] => {
  if (place.kind === 'address') return [{ address: place.address ?? '::', device: null, dualStack: place.dualStack }]
  const found: BoundAddress[] = []
  const seen = new Set<string>()
  for (const each of interfacesOf(place, interfaces())) {
    for (const { address, linkLocal } of each.addresses) {
      const device = linkLocal ? each.name : null
      // one address may stand on two interfaces of a group: it is one socket
      const key = `${address} ${device ?? ''}`
      if (seen.has(key)) continue
      seen.add(key)
      found.push({ address, device, dualStack: false })
    }
  }
  return found
}

const interfacesOf = (place: BindPlace & { readonly kind: 'interface' | 'group' }, known: Interfaces): Interface[] => {
  const all = [...known.byIndex.values()]
  if (place.kind === 'interface') return all.filter(({ name }) => name === place.name)
  const wanted = known.groupNumber(place.name)
  return all.filter(({ group }) => group === wanted)
}
