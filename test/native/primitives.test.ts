import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import net from 'node:net'
import { constants, networkInterfaces } from 'node:os'
import { describe, expect, it } from 'vitest'
import { sockaddrToEndpoint } from '../../comm/index.ts'
import { getOption, ioctl, setOption } from '../../native/index.ts'
import { addon, noAddon } from './present.ts'

// The system calls the addon lends, on descriptors of Node's: what the kernel says comes back as it is, and nothing
// that is passed can bring the process down.

const { EBADF, EFAULT, EINVAL, ENOENT, ENOPROTOOPT, ENOTTY } = constants.errno

/** A connected pair of Node sockets with the descriptor of the accepted one. */
const withSocket = async (use: (fd: number, client: net.Socket, server: net.Socket) => Promise<void>): Promise<void> => {
  const listener = net.createServer().listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = listener.address() as net.AddressInfo
  const client = net.connect(port, '127.0.0.1')
  const [[server]] = (await Promise.all([once(listener, 'connection'), once(client, 'connect')])) as unknown as [[net.Socket]]
  server.pause()
  const { fd } = (server as unknown as { _handle: { fd: number } })._handle // Node shows it nowhere else
  try {
    await use(fd, client, server)
  } finally {
    client.destroy()
    server.destroy()
    listener.close()
  }
}

describe.skipIf(noAddon !== null)(`primitives ${noAddon ?? ''}`, () => {
  const FIONREAD = 0x541b
  const SIOCGIFCONF = 0x8912

  it('ioctl fills the buffer it is given', () =>
    withSocket(async (fd, client) => {
      client.write('seven..')
      const waiting = Buffer.alloc(4)
      while (waiting.readInt32LE() < 7) {
        await new Promise(setImmediate)
        expect(ioctl(addon(), fd, FIONREAD, waiting)).toBe(0)
      }
      expect(waiting.readInt32LE()).toBe(7)
    }))

  it('ioctl puts the addresses of views into the argument', () =>
    withSocket(async fd => {
      // struct ifconf: int length; pointer at 8
      const list = Buffer.alloc(4096)
      const argument = Buffer.alloc(16)
      argument.writeInt32LE(list.length)
      expect(ioctl(addon(), fd, SIOCGIFCONF, argument, [{ at: 8, view: list }])).toBe(0)
      const bytes = argument.readInt32LE()
      const names = []
      for (let at = 0; at < bytes; at += 40) names.push(list.toString('latin1', at, list.indexOf(0, at)))
      expect(names).toContain('lo')
      const known = Object.entries(networkInterfaces()).filter(([, all]) => all?.some(one => one.family === 'IPv4'))
      for (const [name] of known) expect(names).toContain(name)
    }))

  it('what ioctl refuses comes back as minus errno', () => {
    expect(ioctl(addon(), 1_000_000, FIONREAD, Buffer.alloc(4))).toBe(-EBADF)
    const file = openSync('/dev/null', 'r')
    try {
      // the top bit set: it must arrive unsigned
      expect(ioctl(addon(), file, 0xc04c4417, Buffer.alloc(76))).toBe(-ENOTTY)
    } finally {
      closeSync(file)
    }
  })

  it('ioctl is not called with what makes no sense', () => {
    const four = Buffer.alloc(4)
    expect(() => ioctl(addon(), -1, FIONREAD, four)).toThrow(TypeError)
    expect(() => ioctl(addon(), 1.5, FIONREAD, four)).toThrow(TypeError)
    expect(() => ioctl(addon(), 0, -1, four)).toThrow(TypeError)
    expect(() => ioctl(addon(), 0, 2 ** 32, four)).toThrow(TypeError)
    for (const at of [-8, 1, 2 ** 31, 0.5, Number.NaN]) {
      expect(() => ioctl(addon(), 0, FIONREAD, Buffer.alloc(8), [{ at, view: four }])).toThrow(RangeError)
    }
    expect(() => ioctl(addon(), 0, FIONREAD, four, [{ at: 0, view: four }])).toThrow(RangeError)
  })

  it('options are read and written', () =>
    withSocket(async fd => {
      const SOL_SOCKET = 1
      const SO_KEEPALIVE = 9
      expect(getOption(addon(), fd, SOL_SOCKET, SO_KEEPALIVE)).toBe(0)
      expect(setOption(addon(), fd, SOL_SOCKET, SO_KEEPALIVE, 1)).toBe(0)
      expect(getOption(addon(), fd, SOL_SOCKET, SO_KEEPALIVE)).toBe(1)
      expect(setOption(addon(), fd, SOL_SOCKET, 9999, 1)).toBe(-ENOPROTOOPT)
      expect(() => getOption(addon(), 1_000_000, SOL_SOCKET, SO_KEEPALIVE)).toThrow(/errno/)
    }))

  it('an option longer or shorter than its buffer tells its length', () =>
    withSocket(async fd => {
      const TCP_CONGESTION = 13
      const name = Buffer.alloc(16)
      expect(addon().getOption(fd, 6, TCP_CONGESTION, name)).toBe(16)
      expect(name.toString('latin1')).toMatch(/^[a-z]/)
      expect(addon().getOption(fd, 0, 80, Buffer.alloc(8))).toSatisfy((n: number) =>
        [-EINVAL, -ENOENT, -ENOPROTOOPT, -EFAULT].includes(n),
      )
    }))

  it('both ends of a socket are told', () =>
    withSocket(async (fd, client) => {
      const bytes = Buffer.alloc(28)
      expect(addon().getsockname(fd, bytes)).toBe(16)
      expect(sockaddrToEndpoint(bytes, 0)).toMatchObject({ address: '127.0.0.1', port: client.remotePort })
      expect(addon().getpeername(fd, bytes)).toBe(16)
      expect(sockaddrToEndpoint(bytes, 0)).toMatchObject({ address: '127.0.0.1', port: client.localPort })
      expect(addon().getsockname(1_000_000, bytes)).toBe(-EBADF)
    }))

  it('the limit of descriptors is that of the process', () => {
    const limit = spawnSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' }).stdout.trim()
    if (limit === 'unlimited') expect(addon().descriptorLimit()).toBe(2 ** 30)
    else expect(addon().descriptorLimit()).toBe(Number(limit))
  })

  it('arguments of the wrong kind throw; they do not crash', () => {
    const { createEngine, ioctl: call, getOption: get, setOption: set, getsockname, getpeername } = addon() as unknown as Record<
      string,
      (...args: unknown[]) => unknown
    >
    const wrong: unknown[] = [undefined, null, {}, 'text', Symbol('s'), 1n, [], () => 0, Number.NaN, new Uint8Array(1)]
    for (const one of [createEngine, call, get, set, getsockname, getpeername]) {
      expect(() => one?.()).toThrow()
      for (const a of wrong) {
        expect(() => one?.(a)).toThrow()
        expect(() => one?.(a, a, a, a, a, a, a, a, a)).toThrow()
        expect(() => one?.(1.5, 2, a, a, a)).toThrow()
      }
    }
  })

  it('an engine does not start with memory that is too small', () => {
    const ints = new Int32Array(4096)
    const make = (slab: number, control: number) =>
      addon().createEngine(
        Buffer.alloc(slab),
        Buffer.alloc(1024),
        ints,
        ints,
        new Int32Array(4096),
        new Int32Array(control),
        [],
        () => {},
        () => {},
      )
    expect(() => make(1024, 8)).toThrow(TypeError)
    expect(() => make(1024 * 1024, 2)).toThrow(TypeError)
  })

  it('an engine’s functions stay harmless after it was closed, and with descriptors that are not its own', () => {
    const ints = () => new Int32Array(4096)
    const made = addon().createEngine(
      Buffer.alloc(256 * 1024),
      Buffer.alloc(64 * 1024),
      ints(),
      ints(),
      ints(),
      new Int32Array(8),
      [],
      () => {},
      () => {},
    )
    if (typeof made === 'number') throw new Error(`errno ${-made}`)
    const poke = () => {
      for (const fd of [-1, 0, 1, 5000, 2 ** 31 - 1, -(2 ** 31)]) {
        expect(made.interest(fd, 1)).toBe(-EBADF)
        expect(made.release(fd)).toBe(-EBADF)
        expect(made.doom(fd, 1)).toBe(0)
        expect(made.send(fd, [Buffer.from('x')], 1, 0)).toBe(-EBADF)
        expect(made.shutdown(fd)).toBe(-EBADF)
        expect(made.relay(fd, fd, 0, new Int32Array(8).fill(-1))).toBe(-EBADF)
        expect(made.relayBytes(fd, new Float64Array(2))).toBe(-EBADF)
        expect(made.relayEnd(fd, 0)).toBe(-EBADF)
        expect(made.tellDrained(fd)).toBe(-EBADF)
      }
      expect(made.flush()).toBe(0)
      expect(made.closeDoomed()).toBe(0)
    }
    poke()
    made.close()
    made.close()
    poke()
    expect(made.adopt(0)).toBe(-EBADF)
    expect(made.select(0, 1)).toBe(-EBADF)
    expect(made.open(4, 0, null, -1, -1, null)).toBeLessThan(0)
    expect(made.receive(4, 0, null, -1, -1, null, 0, 1)).toBeLessThan(0)
    expect(made.useDatagrams(Buffer.alloc(10))).toBe(-EBADF)
    expect(made.relayResume()).toBe(0)
  })
})
