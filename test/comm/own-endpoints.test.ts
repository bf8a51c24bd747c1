import { describe, expect, it } from 'vitest'
import { OwnEndpoints } from '../../comm/own-endpoints.ts'
import { endpoint } from '../../src/base/index.ts'
import { FakeClock } from '../support/fake-clock.ts'

// A connection to ourselves is told from one to somebody else with the same port number; the machine is asked for its
// addresses only when the port is ours.

describe('own endpoints', () => {
  it('are those of a port we listen on, at an address of this machine', () => {
    const own = new OwnEndpoints(new FakeClock(), () => ['192.0.2.1', '2001:db8::1'])
    own.add(endpoint('0.0.0.0', 3129))
    expect(own.isOwn(endpoint('192.0.2.1', 3129))).toBe(true)
    expect(own.isOwn(endpoint('2001:db8::1', 3129))).toBe(true)
    expect(own.isOwn(endpoint('127.9.9.9', 3129))).toBe(true)
    expect(own.isOwn(endpoint('::1', 3129))).toBe(true)
    expect(own.isOwn(endpoint('0.0.0.0', 3129))).toBe(true)
    expect(own.isOwn(endpoint('198.51.100.7', 3129))).toBe(false)
    expect(own.isOwn(endpoint('192.0.2.1', 80))).toBe(false)
  })

  it('a port counts while one listener has it', () => {
    const own = new OwnEndpoints(new FakeClock(), () => [])
    own.add(endpoint('127.0.0.1', 80))
    own.add(endpoint('::1', 80))
    own.remove(endpoint('127.0.0.1', 80))
    expect(own.isOwn(endpoint('127.0.0.1', 80))).toBe(true)
    own.remove(endpoint('::1', 80))
    expect(own.isOwn(endpoint('127.0.0.1', 80))).toBe(false)
  })

  it('addresses are read when needed, and remembered for five seconds', () => {
    const clock = new FakeClock()
    let reads = 0
    let addresses = ['192.0.2.1']
    const own = new OwnEndpoints(clock, () => {
      reads++
      return addresses
    })
    own.add(endpoint('0.0.0.0', 3129))
    for (let i = 0; i < 100; i++) own.isOwn(endpoint('198.51.100.7', 80))
    expect(reads).toBe(0)
    for (let i = 0; i < 100; i++) own.isOwn(endpoint('198.51.100.7', 3129))
    expect(reads).toBe(1)
    addresses = ['198.51.100.7']
    clock.advance(5_000)
    expect(own.isOwn(endpoint('198.51.100.7', 3129))).toBe(true)
    expect(own.isOwn(endpoint('192.0.2.1', 3129))).toBe(false)
    expect(reads).toBe(2)
  })

  it('what is known holds while the machine cannot be asked, as without a free descriptor', () => {
    const clock = new FakeClock()
    let answers: readonly string[] | null = ['192.0.2.1']
    const own = new OwnEndpoints(clock, () => {
      if (answers === null) throw new Error('EMFILE')
      return answers
    })
    own.add(endpoint('0.0.0.0', 3129))
    expect(own.isOwn(endpoint('192.0.2.1', 3129))).toBe(true)
    answers = null
    clock.advance(5000)
    expect(own.isOwn(endpoint('192.0.2.1', 3129))).toBe(true)
    answers = ['192.0.2.2']
    clock.advance(5000)
    expect(own.isOwn(endpoint('192.0.2.1', 3129))).toBe(false)
    expect(own.isOwn(endpoint('192.0.2.2', 3129))).toBe(true)
  })
})
