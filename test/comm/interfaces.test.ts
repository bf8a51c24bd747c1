// Names of interface groups, and interfaces where the kernel cannot be listened to.

import { describe, expect, it } from 'vitest'
import { createComm, groupLines, groupNumber, readGroupNames, watchedEveryMs } from '../../comm/index.ts'
import { FakeClock } from '../support/fake-clock.ts'

describe('names of groups', () => {
  it('are lines of a number, decimal or hexadecimal, and a name', () => {
    const text = '# device group names\n0\tdefault\n  16  dmz # all of it\n0x10 hex\n0xffffffff most\n\nname 5\n4294967296 more\n-1 less\n7\n'
    expect([...groupLines(text)]).toEqual([['default', 0], ['dmz', 16], ['hex', 16], ['most', 4_294_967_295]])
  })

  it('come from all places there are, the later ones win; what cannot be read has none', () => {
    const files: Readonly<Record<string, string>> = {
      '/usr/share/iproute2/group': '0 default\n1 inside\n2 outside\n',
      '/etc/iproute2/rt_ifgroup': '0x11 inside\n0x12 lab\n',
      '/etc/iproute2/group.d/site.conf': '9 lab\n',
      '/etc/iproute2/group.d/site.conf~': '10 lab\n',
    }
    const read = (path: string): string => {
      const text = files[path]
      if (text === undefined) throw new Error('ENOENT')
      return text
    }
    const names = readGroupNames(read, folder => (folder === '/etc/iproute2/group.d' ? ['site.conf', 'site.conf~'] : []))
    expect([...names].sort()).toEqual([['default', 0], ['inside', 17], ['lab', 9], ['outside', 2]])
    expect(['inside', '17', '0x11', 'nobody', '', '-1', '4294967296'].map(text => groupNumber(text, names))).toEqual([17, 17, 17, null, null, null, null])
  })
})

describe('without the addon', () => {
  it('interfaces are looked at every few seconds, and it is known that they are', () => {
    const clock = new FakeClock()
    const comm = createComm({ clock, engine: 'node' })
    const { interfaces } = comm
    expect(interfaces.live).toBe(false)
    const loopback = [...interfaces.byIndex.values()].find(({ addresses }) => addresses.some(({ address }) => address === '127.0.0.1'))
    expect(loopback).toMatchObject({ name: expect.stringMatching(/^lo/), up: true })
    let changes = 0
    interfaces.onChange(() => changes++)
    clock.advance(3 * watchedEveryMs)
    expect([changes, clock.pending > 0]).toEqual([0, true])
    comm.close()
    expect(clock.pending).toBe(0)
  })
})
