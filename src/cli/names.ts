import type { Resolver } from '../../comm/index.ts'
import type { AccessNames } from '../acl/index.ts'

/**
 * Names as access lists ask for them. Whoever owns an address may call it what he likes, so the name of a numeric host
 * counts only where it leads back to the address; Squid believes it as it is.
 */
export const accessNames = (resolver: () => Resolver, reverseNameOf: (address: string) => string | Promise<string>): AccessNames => {
  const addressesOf = (host: string): readonly string[] | Promise<readonly string[]> => {
    const answer = resolver().lookup(host.startsWith('[') ? host.slice(1, -1) : host)
    if (answer instanceof Promise) return answer.then(known => (known.ok ? known.addresses : none))
    return answer.ok ? answer.addresses : none
  }
  const confirmed = (name: string, address: string): string | Promise<string> => {
    if (name === '') return ''
    const led = addressesOf(name)
    return led instanceof Promise ? led.then(list => (list.includes(address) ? name : '')) : led.includes(address) ? name : ''
  }
  return {
    addressesOf,
    nameOf(address) {
      const name = reverseNameOf(address)
      return name instanceof Promise ? name.then(known => confirmed(known, address)) : confirmed(name, address)
    },
  }
}

const none: readonly string[] = []
