import { constants } from 'node:os'
import { describe, expect, it } from 'vitest'
import { type Attempted, CommError, commError, errnoName } from '../../comm/error.ts'
import { endpoint } from '../../src/base/index.ts'

// A refusal of the system becomes a sentence that names the endpoint and says what can be done.

const at = endpoint('2001:db8::1', 443)
const cases: [string, string, Attempted, string][] = [
  ['EADDRINUSE', 'bind', { doing: 'listen', endpoint: at }, 'cannot listen on [2001:db8::1]:443: the address is in use'],
  ['EADDRINUSE', 'connect', { doing: 'connect', endpoint: at }, 'all local ports'],
  ['EADDRNOTAVAIL', 'bind', { doing: 'listen', endpoint: at }, 'tproxy'],
  ['EPERM', 'setsockopt(IP_TRANSPARENT)', { doing: 'listen', endpoint: at }, 'CAP_NET_RAW'],
  ['EPERM', 'setsockopt(SO_MARK)', { doing: 'connect', endpoint: at }, 'CAP_NET_RAW'],
  ['ENODEV', 'setsockopt(SO_BINDTODEVICE)', { doing: 'connect', endpoint: at, device: 'wan7' }, "'wan7'"],
  ['EPERM', 'setsockopt(SO_BINDTODEVICE)', { doing: 'connect', endpoint: at, device: 'wan7' }, 'CAP_NET_RAW'],
  ['EACCES', 'bind', { doing: 'listen', endpoint: endpoint('0.0.0.0', 80) }, 'CAP_NET_BIND_SERVICE'],
  ['EMFILE', 'socket', { doing: 'connect', endpoint: at }, 'ulimit -n'],
  ['ECONNREFUSED', 'connect', { doing: 'connect', endpoint: at, source: endpoint('192.0.2.7', 0) }, 'from 192.0.2.7:0: nobody listens'],
  ['EUNHEARDOF', 'connect', { doing: 'connect', endpoint: at }, 'EUNHEARDOF from connect'],
]

describe('comm errors', () => {
  it.each(cases)('%s from %s', (errno, syscall, attempted, words) => {
    const error = commError(errno, syscall, attempted)
    expect(error).toBeInstanceOf(CommError)
    expect(error).toMatchObject({ errno, code: errno, syscall })
    expect(error.message).toContain(words)
    expect(error.message).toContain(`(${errno} from ${syscall})`)
  })

  it('numbers have their system’s names', () => {
    expect(errnoName(constants.errno.ECONNRESET)).toBe('ECONNRESET')
    expect(errnoName(99_999)).toBe('errno 99999')
  })
})
