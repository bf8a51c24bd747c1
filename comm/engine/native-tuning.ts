import { type Addon, getOption, setOption } from '../../native/index.ts'
import type { Tuning } from '../connection.ts'

// Socket options of a connection that stands. Linux's numbers.

const SOL_SOCKET = 1
const SO_RCVBUF = 8
const SO_KEEPALIVE = 9
const SO_MARK = 36
const IPPROTO_IP = 0
const IP_TOS = 1
const IP_MTU_DISCOVER = 10
const IPPROTO_IPV6 = 41
const IPV6_MTU_DISCOVER = 23
const IPV6_TCLASS = 67
/** IP_PMTUDISC_DONT: routers may cut packets. */
const dont = 0
const IPPROTO_TCP = 6
const TCP_KEEPIDLE = 4
const TCP_KEEPINTVL = 5
const TCP_KEEPCNT = 6

/** False: the kernel refused one of them; the others are set all the same. */
export const tuneSocket = (addon: Addon, fd: number, { tos, mark, keepAlive, cutPackets, receiveBytes }: Tuning): boolean => {
  const set = (level: number, name: number, value: number): boolean => setOption(addon, fd, level, name, value) === 0
  // on a socket for both families IPv4 peers see the one, IPv6 peers the other; of another family it is no option
  const both = (four: number, six: number, value: number): boolean => {
    const forFour = set(IPPROTO_IP, four, value)
    return set(IPPROTO_IPV6, six, value) || forFour
  }
  let done = true
  if (tos !== undefined) done = both(IP_TOS, IPV6_TCLASS, tos) && done
  if (mark !== undefined) {
    // bits outside of the mask are somebody else's
    const others = mark.mask === 0xffffffff ? 0 : getOption(addon, fd, SOL_SOCKET, SO_MARK) & ~mark.mask
    done = set(SOL_SOCKET, SO_MARK, others | mark.value) && done
  }
  if (cutPackets === true) done = both(IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, dont) && done
  if (receiveBytes !== undefined) done = set(SOL_SOCKET, SO_RCVBUF, receiveBytes) && done
  if (keepAlive !== undefined) {
    const { idle, interval, timeout } = keepAlive
    if (interval > 0 && timeout > 0) done = set(IPPROTO_TCP, TCP_KEEPCNT, Math.max(1, Math.ceil(timeout / interval))) && done
    if (interval > 0) done = set(IPPROTO_TCP, TCP_KEEPINTVL, interval) && done
    if (idle > 0) done = set(IPPROTO_TCP, TCP_KEEPIDLE, idle) && done
    done = set(SOL_SOCKET, SO_KEEPALIVE, 1) && done
  }
  return done
}
