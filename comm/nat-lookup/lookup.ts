import { constants } from 'node:os'
import { type Endpoint, endpoint, unreachable } from '../../src/base/index.ts'
import { errnoName } from '../error.ts'
import { broken, direct, type OwnEndpointTest } from './answer.ts'
import { Device, type DeviceAnswer } from './device.ts'
import {
  decideIpf,
  ipfLayouts,
  ipfObjectBytes,
  ipfPointerAt,
  ipfRefusal,
  ipfRequest,
  type IpfVersion,
  knowsFamily,
  packIpf,
  packIpfObject,
} from './ipfilter.ts'
import { type Files, type Kernel, systemFiles } from './kernel.ts'
import { decideNetfilter, netfilterLevel, SO_ORIGINAL_DST } from './netfilter.ts'
import type { NatBackend, OriginalDestination } from './original-destination.ts'
import { decidePf, packPf, pfLayouts, pfRefusal, pfRequest, type PfSystem } from './pf.ts'
import { sockaddrIn6Bytes, sockaddrInBytes } from './sockaddr.ts'
import { decideGetsockname } from './tproxy.ts'

// clientNatLookup: one object per back end in use, asked once for every accepted connection. Ask at accept, since the
// kernel may forget; the answer holds for the life of the connection.

/** What a look-up needs of a connection. */
export interface Accepted {
  readonly fd: number
  readonly peer: Endpoint
  readonly local: Endpoint
}

export interface NatLookup {
  readonly backend: NatBackend
  originalDestination(connection: Accepted): OriginalDestination
  /**
   * Proves at start that the kernel understands the question, by asking for a connection that cannot exist.
   * `listener` is the descriptor of a listening socket; only netfilter needs it.
   */
  selfTest(listener?: { readonly fd: number; readonly endpoint: Endpoint }): SelfTest
  close(): void
}

export interface SelfTest {
  readonly ok: boolean
  /** A sentence for the log and for doctor. */
  readonly verdict: string
}

export interface NatLookupOptions {
  readonly backend: NatBackend
  readonly kernel: Kernel
  readonly isOwnEndpoint: OwnEndpointTest
  readonly files?: Files
  readonly platform?: string
  /** Where the platform's usual structure is not the one: an old system, or a rebuilt IPFilter. */
  readonly pfSystem?: PfSystem
  readonly ipfVersion?: IpfVersion
}

/** What people use on a system, where the conf says nothing. OpenBSD's rdr-to is deprecated for divert-to. */
export const usualBackend = (platform: string): NatBackend => {
  switch (platform) {
    case 'linux':
      return 'netfilter'
    case 'freebsd':
    case 'netbsd':
    case 'darwin':
      return 'pf'
    case 'sunos':
      return 'ipfilter'
    default:
      return 'getsockname'
  }
}

/** Devices are opened here: call it before privileges are dropped. What cannot be opened is told by the self-test. */
export const createNatLookup = (options: NatLookupOptions): NatLookup => {
  switch (options.backend) {
    case 'none':
      return plainLookup
    case 'netfilter':
      return netfilterLookup(options)
    case 'getsockname':
      return getsocknameLookup(options)
    case 'pf':
      return pfLookup(options)
    case 'ipfilter':
      return ipfLookup(options)
    default:
      return unreachable(options.backend)
  }
}

const plainLookup: NatLookup = {
  backend: 'none',
  originalDestination: () => direct,
  selfTest: () => ({ ok: true, verdict: 'nothing is looked up' }),
  close() {},
}

const getsocknameLookup = ({ isOwnEndpoint }: NatLookupOptions): NatLookup => ({
  backend: 'getsockname',
  originalDestination: connection => decideGetsockname(connection.local, isOwnEndpoint),
  selfTest: () => ({ ok: true, verdict: 'getsockname: the socket itself tells, there is nothing to prove' }),
  close() {},
})

const { ENOENT, ENOPROTOOPT, ESRCH } = constants.errno

const netfilterLookup = ({ kernel, isOwnEndpoint }: NatLookupOptions): NatLookup => {
  const four = new Uint8Array(sockaddrInBytes)
  const six = new Uint8Array(sockaddrIn6Bytes)
  const valueFor = (local: Endpoint): Uint8Array => (local.family === 4 ? four : six)
  const ask = (fd: number, local: Endpoint): number =>
    kernel.getsockopt(fd, netfilterLevel(local), SO_ORIGINAL_DST, valueFor(local))
  return {
    backend: 'netfilter',

    originalDestination: ({ fd, local }) =>
      decideNetfilter(valueFor(local), 0, ask(fd, local), local, isOwnEndpoint),

    // a listening socket is in no conntrack entry: the table that says so is there
    selfTest(listener) {
      if (listener === undefined) return { ok: false, verdict: 'netfilter: there is no listening socket to ask with' }
      const answer = ask(listener.fd, listener.endpoint)
      if (answer >= 0) return { ok: false, verdict: 'netfilter: claims to know where a listening socket was going' }
      if (answer === -ENOENT) return { ok: true, verdict: 'netfilter: SO_ORIGINAL_DST is answered' }
      return answer === -ENOPROTOOPT
        ? { ok: false, verdict: 'netfilter: SO_ORIGINAL_DST is unknown; is nf_conntrack loaded? (ENOPROTOOPT)' }
        : { ok: false, verdict: `netfilter: SO_ORIGINAL_DST failed with ${errnoName(-answer)}` }
    },

    close() {},
  }
}

const pfSystems: Readonly<Record<string, PfSystem>> = {
  freebsd: 'freebsd',
  netbsd: 'netbsd',
  openbsd: 'openbsd',
  darwin: 'macos',
}

const pfLookup = (options: NatLookupOptions): NatLookup => {
  const platform = options.platform ?? process.platform
  const system = options.pfSystem ?? pfSystems[platform]
  if (system === undefined) return impossible('pf', `${platform} has no PF`)

  const layout = pfLayouts[system]
  const request = pfRequest(layout)
  const struct = new Uint8Array(layout.size)
  const device = openDevice('/dev/pf', options, system === 'openbsd')
  const ask = (client: Endpoint, local: Endpoint): DeviceAnswer => {
    packPf(layout, struct, client, local)
    return device.ask(request, struct, [])
  }
  return {
    backend: 'pf',
    originalDestination: ({ peer, local }) =>
      decidePf(layout, ask(peer, local), struct, local, options.isOwnEndpoint),
    selfTest: () =>
      judgeSelfTest(`pf (${system})`, ask(nowhereClient, nowhereLocal), ENOENT, pfRefusal),
    close: () => device.close(),
  }
}

const ipfVersions: Readonly<Record<string, IpfVersion>> = { freebsd: '5.1', netbsd: '5.1', sunos: '4.1.9' }

const ipfLookup = (options: NatLookupOptions): NatLookup => {
  const platform = options.platform ?? process.platform
  const version = options.ipfVersion ?? ipfVersions[platform]
  if (version === undefined) return impossible('ipfilter', `${platform} has no IPFilter`)

  const layout = ipfLayouts[version]
  const envelope = new Uint8Array(ipfObjectBytes)
  const question = new Uint8Array(layout.size)
  const pointers = [{ at: ipfPointerAt, view: question }]
  const device = openDevice('/dev/ipnat', options, false)
  const ask = (client: Endpoint, local: Endpoint): DeviceAnswer => {
    packIpfObject(layout, envelope)
    packIpf(layout, question, client, local)
    return device.ask(ipfRequest, envelope, pointers)
  }
  return {
    backend: 'ipfilter',
    originalDestination: ({ peer, local }) =>
      knowsFamily(layout, local)
        ? decideIpf(layout, ask(peer, local), question, local, options.isOwnEndpoint)
        : broken(`IPFilter ${version} knows IPv4 only`),
    selfTest: () => judgeSelfTest(`ipfilter ${version}`, ask(nowhereClient, nowhereLocal), ESRCH, ipfRefusal),
    close: () => device.close(),
  }
}

const openDevice = (path: string, { kernel, files = systemFiles }: NatLookupOptions, mayWrite: boolean): Device => {
  const device = new Device(path, kernel, files, { mayWrite })
  device.open() // a failure shows again, with its reason, when it is asked
  return device
}

// TEST-NET-1 (RFC 5737): no connection has these ends
const nowhereClient = endpoint('192.0.2.1', 1)
const nowhereLocal = endpoint('192.0.2.2', 1)

/** The kernel must say that there is no such connection: then it read every field where we put it. */
const judgeSelfTest = (
  who: string,
  answer: DeviceAnswer,
  noEntry: number,
  refusal: (errno: number) => string,
): SelfTest => {
  switch (answer.kind) {
    case 'answered':
      return { ok: false, verdict: `${who}: claims to know a connection that cannot exist` }
    case 'unopened':
      return { ok: false, verdict: `${who}: ${answer.why}` }
    case 'refused':
      return answer.errno === noEntry
        ? { ok: true, verdict: `${who}: the kernel understands the question (${errnoName(noEntry)})` }
        : { ok: false, verdict: `${who}: ${refusal(answer.errno)}` }
    default:
      return unreachable(answer)
  }
}

const impossible = (backend: NatBackend, why: string): NatLookup => ({
  backend,
  originalDestination: () => broken(why),
  selfTest: () => ({ ok: false, verdict: why }),
  close() {},
})
