import { canonicalAddress } from '../../base/index.ts'
import type { BindConfig, BindPlace } from '../config.ts'
import type { Line, Word } from '../line.ts'
import { portNumber } from '../values.ts'

// Where a listener or a receiver is bound: one grammar for both.
//
//   PORT | ADDRESS:PORT | iface:NAME:PORT | group:NAME:PORT, and for each PORT also FIRST-LAST

export const bindGrammar = '[ADDRESS:|iface:NAME:|group:NAME:]PORT[-PORT]'
export const bindLimits = 'PORT 1 to 65535, a range at most 1024 ports'

/** Each port of a range is a socket for every address. */
export const bindPortsMax = 1024

/** IFNAMSIZ is 16 with its final zero; slash, colon and blanks the kernel refuses (dev_valid_name). */
const interfaceName = /^[^\s/:]{1,15}$/
/** A name of /etc/iproute2/group, or the number itself. */
const groupName = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/

/** null: refused, and the line has said why. */
export const readBind = (word: Word, line: Line): BindConfig | null => {
  const text = word.text
  if (text.startsWith('[') && !text.includes(']')) return bad(line, word, `missing ']' on IPv6 address: ${text}`)
  const colon = text.startsWith('[') ? text.indexOf(':', text.indexOf(']')) : text.lastIndexOf(':')
  const place = colon < 0 ? everywhere : readBindPlace(text.slice(0, colon), text.slice(colon + 1), word, line)
  if (place === null) return null
  const ports = readBindPorts(text.slice(colon + 1), word, line)
  if (ports === null) return null
  if (ports.first === 0 && place.kind !== 'address')
    return bad(line, word, `an interface needs a port of its own: ${text}`, 'port 0 is another one at each address')
  return { place, ...ports, text }
}

export const writeBind = ({ place, first, last }: BindConfig): string => {
  const ports = first === last ? `${first}` : `${first}-${last}`
  if (place.kind === 'interface') return `iface:${place.name}:${ports}`
  if (place.kind === 'group') return `group:${place.name}:${ports}`
  if (place.address === null) return ports
  return place.address.includes(':') ? `[${place.address}]:${ports}` : `${place.address}:${ports}`
}

const everywhere: BindPlace = { kind: 'address', address: null, dualStack: true }

const readBindPlace = (text: string, ports: string, word: Word, line: Line): BindPlace | null => {
  if (text.startsWith('iface:')) {
    const name = text.slice('iface:'.length)
    return interfaceName.test(name) && name !== '.' && name !== '..'
      ? { kind: 'interface', name }
      : bad(line, word, `'${name}' is no interface name`)
  }
  if (text.startsWith('group:')) {
    const name = text.slice('group:'.length)
    return groupName.test(name) ? { kind: 'group', name } : bad(line, word, `'${name}' is no interface group`)
  }
  if (text === 'iface' || text === 'group') return bad(line, word, `missing Port in: ${word.text}`, `write ${word.text}:PORT`)
  const address = canonicalAddress(text)
  if (address !== null && (text.startsWith('[') || !text.includes(':')))
    return { kind: 'address', address, dualStack: address === '::' }
  if (text.includes(':'))
    return bad(line, word, `an IPv6 address needs brackets: ${word.text}`, `write [${text}]:${ports}`)
  return bad(
    line,
    word,
    `expecting an IP address, got '${text}'`,
    text === '*' || text === '' ? `write ${ports} alone for every address` : `for an interface write iface:${text}:${ports}`,
  )
}

const readBindPorts = (text: string, word: Word, line: Line): Pick<BindConfig, 'first' | 'last'> | null => {
  const dash = text.indexOf('-')
  const first = portNumber(dash < 0 ? text : text.slice(0, dash))
  const last = portNumber(dash < 0 ? text : text.slice(dash + 1))
  if (first === null || last === null) return bad(line, word, `expecting a port from 1 to 65535, got '${text}'`)
  if (first === 0 && !(last === 0 && line.scope.world.portZero)) return bad(line, word, `Port cannot be 0: ${word.text}`)
  if (first > last) return bad(line, word, `the range ends before it begins: ${text}`, `write ${last}-${first}`)
  if (last - first >= bindPortsMax)
    return bad(
      line,
      word,
      `${last - first + 1} ports are too many: each is a socket, at most ${bindPortsMax} per line`,
      'listen on one port, and let a rule of the kernel bring the range to it (glassquid rules --take)',
    )
  return { first, last }
}

const bad = (line: Line, word: Word, message: string, hint = ''): null => {
  line.fatal(`${line.name}: ${message}`, word, hint)
  return null
}
