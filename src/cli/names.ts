import type { Resolver } from '../../comm/index.ts'
import type { AccessNames } from '../acl/index.ts'

/** Names as access lists ask for them. */
export const accessNames = (resolver: () => Resolver): AccessNames => ({
  addressesOf(host) {
    const answer = resolver().lookup(host.startsWith('[') ? host.slice(1, -1) : host)
    return answer instanceof Promise
      ? answer.then(known => (known.ok ? known.addresses : none))
      : answer.ok
        ? answer.addresses
        : none
  },
  // Squid asks for the name of a numeric host; an answer its owner controls decides nothing here
  nameOf: () => '',
})

const none: readonly string[] = []
