import { constants } from 'node:os'
import { type Endpoint, endpointText } from '../src/base/index.ts'

// What a system call refused, in words a user can act on. `errno` is for programs, `message` for people.

export class CommError extends Error {
  override name = 'CommError'
  /** ECONNREFUSED, EADDRINUSE … As Node's own errors have it. */
  readonly code: string
  /** The same word, under the name system programmers look for. */
  readonly errno: string
  /** The call, and for setsockopt the option: `setsockopt(IP_TRANSPARENT)`. */
  readonly syscall: string

  constructor(errno: string, syscall: string, message: string) {
    super(message)
    this.code = errno
    this.errno = errno
    this.syscall = syscall
  }
}

const names = new Map<number, string>()
for (const [name, value] of Object.entries(constants.errno)) if (!names.has(value)) names.set(value, name)

/** `ENOENT` for 2. Numbers differ between systems, names do not. */
export const errnoName = (errno: number): string => names.get(errno) ?? `errno ${errno}`

/** What is known of the call that failed; each field makes the sentence more useful. */
export interface Attempted {
  readonly doing: 'listen' | 'connect' | 'open' | 'accept'
  readonly endpoint?: Endpoint
  readonly source?: Endpoint
  readonly device?: string
}

export const commError = (errno: string, syscall: string, attempted: Attempted): CommError =>
  new CommError(errno, syscall, `${beginning(attempted)}: ${reason(errno, syscall, attempted)} (${errno} from ${syscall})`)

const beginning = ({ doing, endpoint, source }: Attempted): string => {
  const where = endpoint === undefined ? '' : ` ${endpointText(endpoint)}`
  const from = source === undefined ? '' : ` from ${endpointText(source)}`
  switch (doing) {
    case 'listen':
      return `cannot listen on${where}`
    case 'connect':
      return `cannot connect to${where}${from}`
    case 'open':
      return `cannot open a socket for${where}`
    case 'accept':
      return `cannot accept on${where}`
  }
}

const privileged = ['IP_TRANSPARENT', 'IPV6_TRANSPARENT', 'SO_MARK']

const reason = (errno: string, syscall: string, attempted: Attempted): string => {
  if ((errno === 'EPERM' || errno === 'EACCES') && privileged.some(option => syscall.includes(option))) {
    return 'foreign addresses and marks need CAP_NET_RAW (run as root, or give the service AmbientCapabilities=CAP_NET_RAW)'
  }
  if (syscall.includes('SO_BINDTODEVICE')) {
    return errno === 'ENODEV'
      ? `there is no network device '${attempted.device ?? ''}'`
      : 'binding to a device needs CAP_NET_RAW'
  }
  const sentence = sentences[errno]
  return sentence === undefined ? 'the system refused' : sentence(syscall)
}

const sentences: Readonly<Record<string, (syscall: string) => string>> = {
  EADDRINUSE: syscall =>
    syscall === 'connect'
      ? 'all local ports towards that endpoint are taken'
      : 'the address is in use by another program, or another line of the configuration',
  EADDRNOTAVAIL: syscall =>
    syscall === 'connect'
      ? 'all local ports towards that endpoint are taken, or there is no address of that family here'
      : 'the address is not one of this machine, and the socket may not take a foreign one (tproxy)',
  EACCES: () => 'ports below 1024 need CAP_NET_BIND_SERVICE (or net.ipv4.ip_unprivileged_port_start)',
  EPERM: () => 'not permitted; a firewall rule or a missing capability',
  EMFILE: () => 'this process has no descriptors left (raise LimitNOFILE / ulimit -n)',
  ENFILE: () => 'the whole system has no descriptors left (fs.file-max)',
  ENOBUFS: () => 'the kernel has no memory left for sockets',
  ENOMEM: () => 'the kernel has no memory left for sockets',
  ECONNREFUSED: () => 'nobody listens there',
  ETIMEDOUT: () => 'no answer in time',
  EHOSTUNREACH: () => 'no route to that host',
  ENETUNREACH: () => 'no route to that network',
  ECONNRESET: () => 'the other side reset the connection',
  EAFNOSUPPORT: () => 'this machine has no such address family (IPv6 switched off?)',
  ENOPROTOOPT: () => 'this kernel does not know the socket option',
  ENOTSUP: () => 'this engine cannot do that',
  ECANCELED: () => 'given up by us',
}
