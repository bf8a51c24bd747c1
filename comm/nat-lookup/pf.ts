import { constants } from 'node:os'
import { addressFromBytes, addressToBytes, type Endpoint } from '../../src/base/index.ts'
import { errnoName } from '../error.ts'
import { broken, isUnfilled, natOrDirect, none, type OwnEndpointTest } from './answer.ts'
import type { DeviceAnswer } from './device.ts'
import { iowr } from './kernel.ts'
import type { OriginalDestination } from './original-destination.ts'
import { portAt, putPort } from './sockaddr.ts'

// PF's rdr: /dev/pf is asked by DIOCNATLOOK, struct pfioc_natlook, for the state behind a pair of endpoints.
//
//   we give    saddr/sport  the client       daddr/dport  our end, after rdr
//   it gives   rsaddr/...   the client again rdaddr/...   where the client was going
//
// The direction is PF_OUT: the kernel turns the pair round (it looks for the answer's way) and searches the keys of the
// stack's side, where our end stands. With PF_IN it finds no redirected connection at all.

export interface PfLayout {
  readonly size: number
  readonly sport: number
  readonly dport: number
  readonly rdport: number
  readonly af: number
  readonly proto: number
  readonly direction: number
  readonly inet6: number
}

/** The four addresses are 16 bytes each in all of them; IPv4 uses the first four bytes and nothing else. */
const saddr = 0
const daddr = 16
const rdaddr = 48

// macOS has ports in unions of four bytes, OpenBSD two routing domains before the ports.
export const pfLayouts = {
  freebsd: { size: 76, sport: 64, dport: 66, rdport: 70, af: 72, proto: 73, direction: 74, inet6: 28 },
  netbsd: { size: 76, sport: 64, dport: 66, rdport: 70, af: 72, proto: 73, direction: 74, inet6: 24 },
  openbsd: { size: 80, sport: 68, dport: 70, rdport: 74, af: 76, proto: 77, direction: 78, inet6: 24 },
  macos: { size: 84, sport: 64, dport: 68, rdport: 76, af: 80, proto: 81, direction: 83, inet6: 30 },
} as const satisfies Record<string, PfLayout>

export type PfSystem = keyof typeof pfLayouts

export const pfRequest = (layout: PfLayout): number => iowr('D', 23, layout.size)

const AF_INET_BSD = 2
const IPPROTO_TCP = 6
const PF_OUT = 2

/** `question` has `layout.size` bytes; all of them are written. */
export const packPf = (layout: PfLayout, question: Uint8Array, client: Endpoint, local: Endpoint): void => {
  question.fill(0)
  addressToBytes(client.address, question, saddr)
  addressToBytes(local.address, question, daddr)
  putPort(question, layout.sport, client.port)
  putPort(question, layout.dport, local.port)
  question[layout.af] = local.family === 4 ? AF_INET_BSD : layout.inet6
  question[layout.proto] = IPPROTO_TCP
  question[layout.direction] = PF_OUT
}

export const decidePf = (
  layout: PfLayout,
  answer: DeviceAnswer,
  struct: Uint8Array,
  local: Endpoint,
  isOwnEndpoint: OwnEndpointTest,
): OriginalDestination => {
  if (answer.kind === 'unopened') return broken(answer.why)
  if (answer.kind === 'refused') return answer.errno === ENOENT ? none(ENOENT) : broken(pfRefusal(answer.errno))
  const address = addressFromBytes(struct, rdaddr, local.family)
  const original: Endpoint = { family: local.family, address, port: portAt(struct, layout.rdport) }
  if (isUnfilled(original) || address.includes(':') !== (local.family === 6)) {
    return broken('DIOCNATLOOK answered no usable address')
  }
  return natOrDirect(original, local, isOwnEndpoint)
}

const { E2BIG, EACCES, EINVAL, ENODEV, ENOENT, ENOTTY, EPERM } = constants.errno

/** Why PF cannot say, in words that tell what to look at. */
export const pfRefusal = (errno: number): string => {
  const name = errnoName(errno)
  switch (errno) {
    case E2BIG:
      return `DIOCNATLOOK: more than one state matches (${name})`
    case EINVAL:
      return `DIOCNATLOOK: the fields are not where this kernel looks for them (${name})`
    case EACCES:
    case ENODEV:
    case ENOTTY:
      return `DIOCNATLOOK: this kernel has another size of the structure (${name})`
    case EPERM:
      return `DIOCNATLOOK: this system lets only root ask (${name})`
    default:
      return `DIOCNATLOOK failed with ${name}`
  }
}
