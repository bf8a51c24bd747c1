import { describe, expect, test } from 'vitest'
import { AclTable } from '../../src/conf/acl-table.ts'
import { bindPortsMax, readBind, writeBind } from '../../src/conf/directive/bind.ts'
import { Findings } from '../../src/conf/findings.ts'
import { Line } from '../../src/conf/line.ts'
import { Reader } from '../../src/conf/reader.ts'

// The grammar of binds, which listeners and receivers share: what each spelling means, and what is refused with which
// words. Seen in the value read and in the findings of the line.

const read = (text: string, portZero = false) => {
  const world = { readFile: () => '', glob: () => [], env: {}, portZero }
  const findings = new Findings()
  const acls = new AclTable()
  const [logical] = new Reader(world, findings).lines({ file: 'x.conf', text: `listener ${text}\n` })
  if (logical === undefined) throw new Error('no line')
  const line = new Line(logical, { findings, world, acls, formats: new Map(), quotedValues: false, commonByDefault: false })
  const word = line.next()
  if (word === null) throw new Error('no word')
  return { bind: readBind(word, line), said: findings.list.map(found => [found.message, found.hint]) }
}

const at = (address: string | null, first: number, last = first, dualStack = false) => ({
  place: { kind: 'address', address, dualStack },
  first,
  last,
})

describe('a bind', () => {
  test.each<[text: string, meaning: unknown]>([
    ['80', at(null, 80, 80, true)],
    ['8000-8010', at(null, 8000, 8010, true)],
    ['10.0.0.1:80', at('10.0.0.1', 80)],
    ['0.0.0.0:80', at('0.0.0.0', 80)],
    ['[::]:80', at('::', 80, 80, true)],
    ['[2001:DB8:0::1]:80-81', at('2001:db8::1', 80, 81)],
    ['[::ffff:10.0.0.1]:80', at('10.0.0.1', 80)],
    ['iface:lan0:25', { place: { kind: 'interface', name: 'lan0' }, first: 25, last: 25 }],
    ['iface:br-0.100@x:25-26', { place: { kind: 'interface', name: 'br-0.100@x' }, first: 25, last: 26 }],
    ['group:trusted:110', { place: { kind: 'group', name: 'trusted' }, first: 110, last: 110 }],
    ['group:7:1-1024', { place: { kind: 'group', name: '7' }, first: 1, last: 1024 }],
  ])('%s', (text, meaning) => {
    const { bind, said } = read(text)
    expect(said).toEqual([])
    expect(bind).toEqual({ ...(meaning as object), text })
    expect(bind && { ...read(writeBind(bind)).bind, text }).toEqual(bind) // what is written is read as the same
  })

  test.each<[text: string, message: string, hint: string]>([
    ['http', "expecting a port from 1 to 65535, got 'http'", ''],
    ['65536', "expecting a port from 1 to 65535, got '65536'", ''],
    ['10.0.0.1', "expecting a port from 1 to 65535, got '10.0.0.1'", ''],
    ['0', 'Port cannot be 0: 0', ''],
    ['0-5', 'Port cannot be 0: 0-5', ''],
    ['90-80', 'the range ends before it begins: 90-80', 'write 80-90'],
    ['80-', "expecting a port from 1 to 65535, got '80-'", ''],
    [`1-${bindPortsMax + 1}`, `${bindPortsMax + 1} ports are too many: each is a socket, at most ${bindPortsMax} per line`, 'listen on one port, and let a rule of the kernel bring the range to it (glassquid rules --take)'],
    ['*:80', "expecting an IP address, got '*'", 'write 80 alone for every address'],
    ['eth0:80', "expecting an IP address, got 'eth0'", 'for an interface write iface:eth0:80'],
    ['::1:80', 'an IPv6 address needs brackets: ::1:80', 'write [::1]:80'],
    ['[::1:80', "missing ']' on IPv6 address: [::1:80", ''],
    ['iface::80', "'' is no interface name", ''],
    ['iface:a/b:80', "'a/b' is no interface name", ''],
    ['iface:sixteen-letters-:80', "'sixteen-letters-' is no interface name", ''],
    ['group:trusted', 'missing Port in: group:trusted', 'write group:trusted:PORT'],
    ['group:-x:80', "'-x' is no interface group", ''],
    ['group::80', "'' is no interface group", ''],
  ])('%s is refused', (text, message, hint) => {
    const { bind, said } = read(text)
    expect(bind).toBeNull()
    expect(said).toEqual([[`listener: ${message}`, hint]])
  })

  test('may have port 0 where tests run, but not on an interface', () => {
    expect(read('127.0.0.1:0', true).bind).toMatchObject({ first: 0, last: 0 })
    expect(read('iface:lo:0', true).said).toEqual([
      ['listener: an interface needs a port of its own: iface:lo:0', 'port 0 is another one at each address'],
    ])
  })
})
