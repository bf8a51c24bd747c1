import { constants } from 'node:os'
import { addressFromBytes, addressToBytes, type Endpoint, sameEndpoint } from '../../src/base/index.ts'
import { errnoName } from '../error.ts'
import { broken, isUnfilled, natOrDirect, none, type OwnEndpointTest } from './answer.ts'
import type { DeviceAnswer } from './device.ts'
import { iowr } from './kernel.ts'
import type { OriginalDestination } from './original-destination.ts'
import { hostIsLittleEndian, portAt, putPort } from './sockaddr.ts'

// IPFilter's rdr: /dev/ipnat is asked by SIOCGNATL. Two structures: an envelope that tells the version and points to
// the question.
//
//   ipfobj 56 bytes    rev:4 size:4 pointer:8 type:4 offset:4 retval:4 pad:28
//   natlookup          in = our end, out = the client, real = the answer
//
// Sizes are those of 64-bit systems; the only ones this program runs on. Whole numbers are in the machine's byte order,
// addresses and ports in network order.

export interface IpfLayout {
  /** IPFILTER_VERSION: the kernel refuses an envelope of another generation. */
  readonly revision: number
  readonly size: number
  readonly inAddress: number
  readonly outAddress: number
  readonly realAddress: number
  /** -1: no such field, IPv4 only. */
  readonly version: number
  readonly flags: number
  readonly inPort: number
  readonly outPort: number
  readonly realPort: number
}

const wide = {
  size: 64,
  inAddress: 0,
  outAddress: 16,
  realAddress: 32,
  version: 48,
  flags: 52,
  inPort: 56,
  outPort: 58,
  realPort: 60,
} as const

export const ipfLayouts = {
  /** FreeBSD since 10, NetBSD. */
  '5.1': { revision: 5010200, ...wide },
  /** illumos, Solaris 10 and 11. */
  '4.1.9': { revision: 4010901, ...wide },
  /** FreeBSD 8 and 9. */
  '4.1.28': {
    revision: 4012800,
    size: 24,
    inAddress: 0,
    outAddress: 4,
    realAddress: 8,
    version: -1,
    flags: 12,
    inPort: 16,
    outPort: 18,
    realPort: 20,
  },
} as const satisfies Record<string, IpfLayout>

export type IpfVersion = keyof typeof ipfLayouts

export const ipfObjectBytes = 56
/** Where in the envelope the question's address stands. */
export const ipfPointerAt = 8
export const ipfRequest = iowr('r', 63, ipfObjectBytes)

const IPFOBJ_NATLOOKUP = 9
const IPN_TCP = 1

/** The envelope without the pointer, which the kernel primitive writes for the length of the call. */
export const packIpfObject = (layout: IpfLayout, envelope: Uint8Array, littleEndian = hostIsLittleEndian): void => {
  envelope.fill(0)
  putInt(envelope, 0, layout.revision, littleEndian)
  putInt(envelope, 4, layout.size, littleEndian)
  putInt(envelope, 16, IPFOBJ_NATLOOKUP, littleEndian)
}

/** `question` has `layout.size` bytes; all of them are written. */
export const packIpf = (
  layout: IpfLayout,
  question: Uint8Array,
  client: Endpoint,
  local: Endpoint,
  littleEndian = hostIsLittleEndian,
): void => {
  question.fill(0)
  addressToBytes(local.address, question, layout.inAddress)
  addressToBytes(client.address, question, layout.outAddress)
  // 5.1 finds nothing while this is 0, and says so like an entry that is not there
  if (layout.version >= 0) putInt(question, layout.version, local.family, littleEndian)
  putInt(question, layout.flags, IPN_TCP, littleEndian)
  putPort(question, layout.inPort, local.port)
  putPort(question, layout.outPort, client.port)
}

export const knowsFamily = (layout: IpfLayout, local: Endpoint): boolean => local.family === 4 || layout.version >= 0

export const decideIpf = (
  layout: IpfLayout,
  answer: DeviceAnswer,
  question: Uint8Array,
  local: Endpoint,
  isOwnEndpoint: OwnEndpointTest,
): OriginalDestination => {
  if (answer.kind === 'unopened') return broken(answer.why)
  if (answer.kind === 'refused') return answer.errno === ESRCH ? none(ESRCH) : broken(ipfRefusal(answer.errno))
  const address = addressFromBytes(question, layout.realAddress, local.family)
  const original: Endpoint = { family: local.family, address, port: portAt(question, layout.realPort) }
  if (isUnfilled(original) || address.includes(':') !== (local.family === 6)) {
    return broken('SIOCGNATL answered no usable address')
  }
  // 5.1.2 as FreeBSD 10 and NetBSD imported it answers with the target of the redirect, that is, with ourselves. A
  // connection that was not redirected has no entry (ESRCH), so this is never a direct one.
  if (sameEndpoint(original, local)) return broken('ipf-5.1.2-natlookup')
  return natOrDirect(original, local, isOwnEndpoint)
}

const { EACCES, EFAULT, EINVAL, ENODEV, ENOTTY, EPERM, ESRCH } = constants.errno

/** Why IPFilter cannot say, in words that tell what to look at. */
export const ipfRefusal = (errno: number): string => {
  const name = errnoName(errno)
  switch (errno) {
    case EINVAL:
    case EFAULT:
      return `SIOCGNATL: this kernel has another version or size of the structure (${name})`
    case ENODEV:
    case ENOTTY:
      return `SIOCGNATL: this kernel does not know the request (${name})`
    case EACCES:
    case EPERM:
      return `SIOCGNATL: not permitted (${name})`
    default:
      return `SIOCGNATL failed with ${name}`
  }
}

const putInt = (bytes: Uint8Array, at: number, value: number, littleEndian: boolean): void => {
  for (let i = 0; i < 4; i++) bytes[at + (littleEndian ? i : 3 - i)] = (value >>> (8 * i)) & 255
}
