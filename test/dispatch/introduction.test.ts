import { describe, expect, test } from 'vitest'
import { headerBytesMax, parseIntroduction } from '../../src/dispatch/introduction/index.ts'

// Headers of the PROXY protocol: what they say, and what none may say. Squid 5.7 was asked about each of these bytes; where
// it answers otherwise, a remark says so.

const signature = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')

const binary = (command: number, family: number, content: Buffer, length = content.length): Buffer => {
  const fixed = Buffer.from([command, family, length >> 8, length & 255])
  return Buffer.concat([signature, fixed, content])
}
const four = Buffer.from('0a010203cb007105115c0050', 'hex')
const six = Buffer.concat([Buffer.from(`20010db8${'00'.repeat(11)}01`, 'hex'), Buffer.from(`20010db8${'00'.repeat(11)}02`, 'hex'), Buffer.from('115c0050', 'hex')])
const tlvs = Buffer.from('0400026869e00003616263', 'hex')

const told = (bytes: Buffer): string => {
  const answer = parseIntroduction(bytes)
  if (answer.kind !== 'header') return answer.kind
  const { ends, pairs } = answer.header
  const where = ends === null ? 'nobody' : `${ends.source.address} ${ends.source.port} > ${ends.target.address} ${ends.target.port}`
  return `${where} | ${pairs.filter((_, i) => i % 2 === 0 || i > 2).join(' ')} | ${answer.end}`
}

const ends4 = '10.1.2.3 4444 > 203.0.113.5 80'
const said4 = ':src_addr 10.1.2.3 :dst_addr 203.0.113.5 :src_port 4444 :dst_port 80'

describe('a header says', () => {
  test.each([
    ['PROXY TCP4 10.1.2.3 203.0.113.5 4444 80\r\n', `${ends4} | :version :command 1 ${said4} | 41`],
    ['PROXY TCP6 2001:DB8:0::1 2001:db8::2 0 65535\r\n', '2001:db8::1 0 > 2001:db8::2 65535 | :version :command 1 :src_addr 2001:db8::1 :dst_addr 2001:db8::2 :src_port 0 :dst_port 65535 | 46'],
    ['PROXY UNKNOWN\r\n', 'nobody | :version :command 1 | 15'],
    ['PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n', 'nobody | :version :command 1 | 35'],
  ])('%j', (text, said) => expect(told(Buffer.from(text, 'latin1'))).toBe(said))

  test.each([
    ['addresses', binary(0x21, 0x11, four), `${ends4} | :version :command 1 ${said4} | 28`],
    ['TLVs', binary(0x21, 0x11, Buffer.concat([four, tlvs])), `${ends4} | :version :command 1 ${said4} 4 hi 224 abc | 39`],
    ['six', binary(0x21, 0x21, six), '2001:db8::1 4444 > 2001:db8::2 80 | :version :command 1 :src_addr 2001:db8::1 :dst_addr 2001:db8::2 :src_port 4444 :dst_port 80 | 52'],
    ['mapped', binary(0x21, 0x21, Buffer.from(`${'00'.repeat(10)}ffff0a010203${'00'.repeat(10)}ffffcb007105115c0050`, 'hex')), `${ends4} | :version :command 1 ${said4} | 52`],
    ['for itself', binary(0x20, 0, Buffer.alloc(0)), 'nobody | :version :command 0 | 16'],
    ['for itself, with ends', binary(0x20, 0x11, Buffer.concat([four, tlvs])), `nobody | :version :command 0 ${said4} | 39`],
    ['unspecified', binary(0x21, 0x00, tlvs), 'nobody | :version :command 1 | 27'],
    ['unspecified stream', binary(0x21, 0x01, four), 'nobody | :version :command 1 | 28'],
    ['datagrams', binary(0x21, 0x12, four), `${ends4} | :version :command 1 ${said4} | 28`],
    // Squid takes :: for the client
    ['unix', binary(0x21, 0x31, Buffer.alloc(216)), 'nobody | :version :command 1 | 232'],
  ])('version 2: %s', (_, bytes, said) => expect(told(bytes)).toBe(said))
})

describe('nobody is believed who says', () => {
  test.each([
    'GET / HTTP/1.1\r\n', 'proxy TCP4 10.1.2.3 203.0.113.5 4444 80\r\n', 'PROXY\r\n', 'PROXY TCP4 10.1.2.3 203.0.113.5 99999 80\r\n', 'PROXY TCP4 10.1.2.3 203.0.113.5 +1 80\r\n',
    'PROXY TCP4 2001:db8::1 203.0.113.5 4444 80\r\n', 'PROXY TCP6 10.1.2.3 203.0.113.5 4444 80\r\n', 'PROXY TCP6 [::1] ::2 4444 80\r\n', 'PROXY TCP4 10.1.2.3 203.0.113.5 4444 80\n',
    'PROXY TCP4  10.1.2.3 203.0.113.5 4444 80\r\n', 'PROXY UDP4 10.1.2.3 203.0.113.5 4444 80\r\n', 'PROXY UNKNOWNX\r\n', `PROXY UNKNOWN ${'x'.repeat(100)}\r\n`,
    // Squid reads an octet with a leading zero as octal, and leaves out what stands behind the ports
    'PROXY TCP4 010.1.2.3 203.0.113.5 4444 80\r\n', 'PROXY TCP4 10.1.2.3 203.0.113.5 4444 80 x\r\n', 'PROXY TCP4 10.1.2.3 203.0.113.5 04444 80\r\n',
  ])('%j', text => expect(told(Buffer.from(text, 'latin1'))).toBe('bad'))

  test.each([
    ['command 5', binary(0x25, 0x11, four)],
    ['family 4', binary(0x21, 0x41, four)],
    ['transport 3', binary(0x21, 0x13, four)],
    ['version 3', binary(0x31, 0x11, four)],
    ['half an address', binary(0x21, 0x11, four.subarray(0, 8))],
    ['half a TLV', binary(0x21, 0x11, Buffer.concat([four, tlvs.subarray(0, 4)]))],
    ['a TLV without a length', binary(0x21, 0x11, Buffer.concat([four, tlvs.subarray(0, 2)]))],
    ['too much', binary(0x21, 0x11, Buffer.alloc(0), headerBytesMax - 15)],
  ])('version 2: %s', (_, bytes) => expect(told(bytes)).toBe('bad'))
})

test('every beginning of a header wants more, and what follows is not looked at', () => {
  for (const whole of [Buffer.from('PROXY TCP4 10.1.2.3 203.0.113.5 4444 80\r\n'), binary(0x21, 0x11, Buffer.concat([four, tlvs]))]) {
    for (let cut = 0; cut < whole.length; cut++) expect(told(whole.subarray(0, cut)), `the first ${cut} bytes`).toBe('more')
    expect(told(Buffer.concat([whole, Buffer.from('GET / HTTP/1.1\r\n\r\n')]))).toBe(told(whole))
  }
})
