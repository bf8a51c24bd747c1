import { type Addon, addressBytes, native } from '../native/index.ts'
import { type Endpoint, endpointText, sameEndpoint } from '../src/base/index.ts'
import { CommError } from './error.ts'
import type { ListenOptions } from './engine/engine.ts'
import { sockaddrToEndpoint } from './nat-lookup/index.ts'

// Sockets that whoever started us has opened and bound: systemd's .socket units (sd_listen_fds(3)). They stay that
// one's: connections wait in them while we are not there, and a listener here is a second descriptor of the same socket.

export interface HandedIn {
  readonly fd: number
  /** FileDescriptorName=; '' where it has none. For people: a socket is found by its address. */
  readonly name: string
  readonly endpoint: Endpoint
  /** It takes IPv4, too. */
  readonly dualStack: boolean
  /** '' where it is bound to none. */
  readonly device: string
}

export type HandedInAnswer =
  | { readonly ok: true; readonly socket: HandedIn }
  | { readonly ok: false; readonly reason: string }

/** What a descriptor is. Only TCP sockets that are bound are any use here. */
export const describeHandedIn = (fd: number, name: string): HandedInAnswer => {
  const called = `socket ${name === '' ? fd : `'${name}' (descriptor ${fd})`}, which was handed in,`
  const no = (what: string): HandedInAnswer => ({ ok: false, reason: `${called} ${what}` })
  if (!native.present) return no(`cannot be listened on: ${native.why}`)
  const { addon } = native
  const type = numberOf(addon, fd, SOL_SOCKET, SO_TYPE)
  if (type === null) return no('is no socket')
  const address = Buffer.alloc(Math.max(addressBytes, unixPathBytes))
  const endpoint = addon.getsockname(fd, address) < 0 ? null : sockaddrToEndpoint(address, 0)
  if (endpoint === null) return no('is not of IPv4 or IPv6: only http_port and listener lines take sockets (ListenStream= with a port)')
  if (type !== SOCK_STREAM) return no(`takes datagrams at ${endpointText(endpoint)}: receivers open their own (use ListenStream=)`)
  if (numberOf(addon, fd, SOL_SOCKET, SO_ACCEPTCONN) !== 1) return no(`does not listen at ${endpointText(endpoint)}: it is one connection (use Accept=no)`)
  const dualStack = endpoint.family === 6 && endpoint.address === '::' && numberOf(addon, fd, IPPROTO_IPV6, IPV6_V6ONLY) === 0
  return { ok: true, socket: { fd, name, endpoint, dualStack, device: deviceOf(addon, fd) } }
}

/** The one a listener was meant to have; null: it opens its own. Throws CommError when the two are not the same. */
export const handedInFor = (all: readonly HandedIn[], { endpoint, dualStack, device }: ListenOptions): HandedIn | null => {
  const found = all.find(socket => sameEndpoint(socket.endpoint, endpoint) && socket.device === (device ?? ''))
  if (found === undefined) return null
  if (endpoint.family === 6 && endpoint.address === '::' && found.dualStack !== dualStack) throw otherFamilies(found)
  return found
}

const otherFamilies = ({ endpoint, dualStack }: HandedIn): CommError =>
  new CommError(
    'EINVAL',
    'listen',
    `cannot listen on ${endpointText(endpoint)}: the socket handed in takes ${dualStack ? 'IPv4, too, and the line does not' : 'IPv6 alone, and the line IPv4, too'} (BindIPv6Only=${dualStack ? 'ipv6-only' : 'both'})`,
  )

const numberOf = (addon: Addon, fd: number, level: number, name: number): number | null => {
  const value = Buffer.alloc(4)
  return addon.getOption(fd, level, name, value) < 0 ? null : value.readInt32LE()
}

const deviceOf = (addon: Addon, fd: number): string => {
  const value = Buffer.alloc(ifNameBytes)
  return addon.getOption(fd, SOL_SOCKET, SO_BINDTODEVICE, value) < 0 ? '' : value.toString('latin1').replace(/\0[\s\S]*$/, '')
}

// asm-generic/socket.h, linux/in6.h, linux/if.h, linux/un.h
const SOL_SOCKET = 1
const SO_TYPE = 3
const SO_BINDTODEVICE = 25
const SO_ACCEPTCONN = 30
const SOCK_STREAM = 1
const IPPROTO_IPV6 = 41
const IPV6_V6ONLY = 26
const ifNameBytes = 16
const unixPathBytes = 110
