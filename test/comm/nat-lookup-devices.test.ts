import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Device } from '../../comm/nat-lookup/device.ts'
import {
  createNatLookup,
  type Files,
  type IpfVersion,
  type Kernel,
  type NatLookupOptions,
  type PfSystem,
  usualBackend,
} from '../../comm/nat-lookup/index.ts'
import { ipfLayouts, ipfObjectBytes, ipfRequest, packIpf, packIpfObject } from '../../comm/nat-lookup/ipfilter.ts'
import { iowr, systemFiles } from '../../comm/nat-lookup/kernel.ts'
import { packPf, pfLayouts, pfRequest } from '../../comm/nat-lookup/pf.ts'
import { type Endpoint, endpoint } from '../../src/base/index.ts'
import vectors from './nat-vectors.json' with { type: 'json' }

// Guards the back ends of the BSDs, macOS and Solaris on a machine that is none of them: a fake kernel shows every byte
// it was asked with and answers with the bytes of a real one.

const hex = (text: string): Buffer => Buffer.from(text, 'hex')
const nobody = () => false
const errno = constants.errno

interface Asked {
  readonly fd: number
  readonly request: number
  readonly argument: string
  /** What the first pointer pointed to. */
  readonly pointed: string | null
}

/** Each ioctl takes the next line of the script: an errno, or the bytes the structure shall hold afterwards. */
class FakeKernel implements Kernel {
  readonly asked: Asked[] = []
  readonly #script: (number | Buffer)[]

  constructor(...script: (number | Buffer)[]) {
    this.#script = script
  }

  ioctl(fd: number, request: number, argument: Uint8Array, pointers: Parameters<Kernel['ioctl']>[3]): number {
    const shown = Buffer.from(argument)
    const pointer = pointers[0]
    if (pointer !== undefined) shown.writeBigUInt64LE(0x1122334455667788n, pointer.at)
    const target = pointer?.view ?? argument
    this.asked.push({
      fd,
      request,
      argument: shown.toString('hex'),
      pointed: pointer === undefined ? null : Buffer.from(target).toString('hex'),
    })
    const next = this.#script.shift()
    if (next === undefined) throw new Error('asked more often than the script says')
    if (typeof next === 'number') return -next
    expect(next.length).toBe(target.length)
    target.set(next)
    return 0
  }

  getsockopt(): number {
    throw new Error('nobody asks for a socket option here')
  }
}

/** Opens give 10, 11, 12 ...; `refuse` lists what the first opens answer instead (0 = as usual). */
class FakeFiles implements Files {
  readonly calls: string[] = []
  readonly #refuse: number[]
  #next = 10

  constructor(...refuse: number[]) {
    this.#refuse = refuse
  }

  open(path: string, access: string): number {
    const refused = this.#refuse.shift() ?? 0
    const answer = refused === 0 ? this.#next++ : -refused
    this.calls.push(`open ${path} ${access} = ${answer}`)
    return answer
  }

  close(fd: number): void {
    this.calls.push(`close ${fd}`)
  }
}

const platforms = { freebsd: 'freebsd', netbsd: 'netbsd', openbsd: 'openbsd', macos: 'darwin' } as const

const lookup = (kernel: Kernel, options: Partial<NatLookupOptions> = {}) =>
  createNatLookup({ backend: 'pf', platform: 'freebsd', kernel, files: new FakeFiles(), isOwnEndpoint: nobody, ...options })

const at = (e: { address: string; port: number }): Endpoint => endpoint(e.address, e.port)

describe('PF', () => {
  for (const v of vectors.pf) {
    const system = v.layout as PfSystem // the vectors name layouts of ours
    it(`${v.layout}, case ${v.case}: asks and reads as the kernel lays it out`, () => {
      const kernel = new FakeKernel(hex(v.answered))
      const files = new FakeFiles()
      const nat = lookup(kernel, { platform: platforms[system], files })
      expect(nat.originalDestination({ fd: 3, peer: at(v.client), local: at(v.local) })).toEqual({
        kind: 'nat',
        destination: at(v.original),
      })
      expect(kernel.asked).toEqual([{ fd: 10, request: Number(v.request), argument: v.asked, pointed: null }])
      expect(files.calls).toEqual(['open /dev/pf read = 10'])
    })
  }

  const freebsdA = vectors.pf.find(v => v.layout === 'freebsd' && v.case === 'A')
  const answerA = hex(freebsdA?.answered ?? '')
  const client = endpoint('192.0.2.10', 51234)
  const local = endpoint('10.0.0.1', 3129)
  const accepted = { fd: 3, peer: client, local }
  const withBytes = (offset: number, text: string): Buffer => {
    const changed = Buffer.from(answerA)
    hex(text).copy(changed, offset)
    return changed
  }

  it('clears the structure between connections', () => {
    const six = vectors.pf.find(v => v.layout === 'freebsd' && v.case === 'B')
    const kernel = new FakeKernel(hex(six?.answered ?? ''), answerA)
    const nat = lookup(kernel)
    nat.originalDestination({ fd: 3, peer: endpoint('2001:db8:a::10', 51235), local: endpoint('::1', 3129) })
    nat.originalDestination(accepted)
    expect(kernel.asked.map(a => a.argument)).toEqual([six?.asked, freebsdA?.asked])
  })

  it('is direct when the state has no rdr: the answer repeats our own end', () => {
    const same = withBytes(48, '0a000001')
    same.writeUInt16BE(3129, 70)
    expect(lookup(new FakeKernel(same)).originalDestination(accepted)).toEqual({ kind: 'direct' })
  })

  it('is direct when the answer is another endpoint of ours', () => {
    const nat = lookup(new FakeKernel(answerA), { isOwnEndpoint: e => e.address === '198.51.100.7' && e.port === 80 })
    expect(nat.originalDestination(accepted)).toEqual({ kind: 'direct' })
  })

  it('counts a rdr that changes the port alone', () => {
    expect(lookup(new FakeKernel(withBytes(48, '0a000001'))).originalDestination(accepted)).toEqual({
      kind: 'nat',
      destination: endpoint('10.0.0.1', 80),
    })
  })

  it('ignores the twelve bytes behind an IPv4 address', () => {
    const dirty = withBytes(52, 'ff'.repeat(12))
    expect(lookup(new FakeKernel(dirty)).originalDestination(accepted).kind).toBe('nat')
  })

  it('is broken by an answer nobody filled in', () => {
    expect(lookup(new FakeKernel(withBytes(70, '0000'))).originalDestination(accepted).kind).toBe('broken')
    expect(lookup(new FakeKernel(withBytes(48, '00000000'))).originalDestination(accepted).kind).toBe('broken')
    expect(lookup(new FakeKernel(Buffer.alloc(76))).originalDestination(accepted).kind).toBe('broken')
  })

  it('is broken by a v4-mapped answer for an IPv6 connection', () => {
    const mapped = withBytes(48, '00000000000000000000ffffc6336407')
    const nat = lookup(new FakeKernel(mapped))
    expect(nat.originalDestination({ fd: 3, peer: endpoint('2001:db8::1', 5), local: endpoint('::1', 3129) }).kind).toBe('broken')
  })

  it('says none for ENOENT and nothing else', () => {
    expect(lookup(new FakeKernel(errno.ENOENT)).originalDestination(accepted)).toEqual({ kind: 'none', errno: 'ENOENT' })
    for (const refused of [errno.EINVAL, errno.E2BIG, errno.EACCES, errno.EPERM, errno.EAFNOSUPPORT, errno.ENOTTY]) {
      expect(lookup(new FakeKernel(refused)).originalDestination(accepted).kind).toBe('broken')
    }
  })

  it('never asks twice what was ambiguous or malformed', () => {
    for (const refused of [errno.ENOENT, errno.EINVAL, errno.E2BIG, errno.EPERM, errno.ENOTTY]) {
      const kernel = new FakeKernel(refused)
      const files = new FakeFiles()
      lookup(kernel, { files }).originalDestination(accepted)
      expect(kernel.asked.length).toBe(1)
      expect(files.calls).toEqual(['open /dev/pf read = 10'])
    }
  })

  it('names the reason: two states, another structure, root only', () => {
    const why = (refused: number, platform = 'freebsd') => {
      const answer = lookup(new FakeKernel(refused), { platform }).originalDestination(accepted)
      return answer.kind === 'broken' ? answer.why : answer.kind
    }
    expect(why(errno.E2BIG)).toContain('more than one state')
    expect(why(errno.EACCES)).toContain('another size')
    expect(why(errno.ENOTTY)).toContain('another size')
    expect(why(errno.EINVAL)).toContain('not where this kernel looks')
    expect(why(errno.EPERM, 'darwin')).toContain('only root')
  })

  it('knows no PF on Linux, and says so at start and at each connection', () => {
    const nat = lookup(new FakeKernel(), { platform: 'linux' })
    expect(nat.selfTest()).toEqual({ ok: false, verdict: 'linux has no PF' })
    expect(nat.originalDestination(accepted)).toEqual({ kind: 'broken', why: 'linux has no PF' })
  })

  it('takes another layout where the conf says so', () => {
    const kernel = new FakeKernel(errno.ENOENT)
    lookup(kernel, { platform: 'freebsd', pfSystem: 'openbsd' }).originalDestination(accepted)
    expect(kernel.asked[0]?.request).toBe(0xc0504417)
  })
})

describe('IPFilter', () => {
  const platformOf = { '5.1': 'freebsd', '4.1.9': 'sunos', '4.1.28': 'freebsd' } as const
  const ipf = (kernel: Kernel, version: IpfVersion, options: Partial<NatLookupOptions> = {}) =>
    lookup(kernel, {
      backend: 'ipfilter',
      platform: platformOf[version],
      ...(version === '4.1.28' ? { ipfVersion: version } : {}),
      ...options,
    })

  for (const v of vectors.ipfilter) {
    const version = v.layout as IpfVersion // the vectors name layouts of ours
    const accepted = { fd: 3, peer: at(v.client), local: at(v.local) }
    it(`${v.layout}, case ${v.case}: asks and reads as the kernel lays it out`, () => {
      const kernel = new FakeKernel(hex(v.answered))
      const files = new FakeFiles()
      expect(ipf(kernel, version, { files }).originalDestination(accepted)).toEqual({
        kind: 'nat',
        destination: at(v.original),
      })
      expect(kernel.asked).toEqual([{ fd: 10, request: Number(v.request), argument: v.object, pointed: v.asked }])
      expect(files.calls).toEqual(['open /dev/ipnat read = 10'])
    })
    if (v.answeredByBug !== undefined) {
      it(`${v.layout}, case ${v.case}: does not follow the answer of the kernel that names ourselves`, () => {
        expect(ipf(new FakeKernel(hex(v.answeredByBug ?? '')), version).originalDestination(accepted)).toEqual({
          kind: 'broken',
          why: 'ipf-5.1.2-natlookup',
        })
      })
    }
  }

  const five = vectors.ipfilter.find(v => v.layout === '5.1' && v.case === 'A')
  const answerA = hex(five?.answered ?? '')
  const accepted = { fd: 3, peer: endpoint('192.0.2.10', 51234), local: endpoint('10.0.0.1', 3129) }

  it('asks NetBSD as it asks FreeBSD', () => {
    const kernel = new FakeKernel(answerA)
    lookup(kernel, { backend: 'ipfilter', platform: 'netbsd' }).originalDestination(accepted)
    expect(kernel.asked[0]).toEqual({ fd: 10, request: 0xc038723f, argument: five?.object, pointed: five?.asked })
  })

  it('counts a rdr that changes the port alone, and takes only address with port for the bug', () => {
    const portOnly = Buffer.from(answerA)
    hex('0a000001').copy(portOnly, 32)
    expect(ipf(new FakeKernel(portOnly), '5.1').originalDestination(accepted)).toEqual({
      kind: 'nat',
      destination: endpoint('10.0.0.1', 80),
    })
  })

  it('is direct when the answer is another endpoint of ours', () => {
    const nat = ipf(new FakeKernel(answerA), '5.1', { isOwnEndpoint: e => e.port === 80 })
    expect(nat.originalDestination(accepted)).toEqual({ kind: 'direct' })
  })

  it('says none for ESRCH and nothing else', () => {
    expect(ipf(new FakeKernel(errno.ESRCH), '5.1').originalDestination(accepted)).toEqual({ kind: 'none', errno: 'ESRCH' })
    for (const refused of [errno.EINVAL, errno.EFAULT, errno.ENOENT, errno.EPERM, errno.ENOTTY]) {
      expect(ipf(new FakeKernel(refused), '5.1').originalDestination(accepted).kind).toBe('broken')
    }
  })

  it('is broken by an answer nobody filled in', () => {
    const unanswered = hex(five?.asked ?? '')
    expect(ipf(new FakeKernel(unanswered), '5.1').originalDestination(accepted).kind).toBe('broken')
  })

  it('does not ask 4.1.28 for IPv6', () => {
    const kernel = new FakeKernel()
    const six = { fd: 3, peer: endpoint('2001:db8::1', 5), local: endpoint('::1', 3129) }
    expect(ipf(kernel, '4.1.28').originalDestination(six)).toEqual({
      kind: 'broken',
      why: 'IPFilter 4.1.28 knows IPv4 only',
    })
    expect(kernel.asked).toEqual([])
  })

  it('writes whole numbers in the order of the machine, ports and addresses in that of the network', () => {
    const envelope = Buffer.alloc(ipfObjectBytes, 0xaa)
    packIpfObject(ipfLayouts['5.1'], envelope, false)
    expect(envelope.toString('hex')).toBe(`004c731800000040${'00'.repeat(8)}00000009${'00'.repeat(36)}`)
    const question = Buffer.alloc(64, 0xaa)
    packIpf(ipfLayouts['5.1'], question, accepted.peer, accepted.local, false)
    expect(question.subarray(48).toString('hex')).toBe('00000004000000010c39c82200000000')
  })

  it('knows no IPFilter on Linux', () => {
    expect(lookup(new FakeKernel(), { backend: 'ipfilter', platform: 'linux' }).selfTest()).toEqual({
      ok: false,
      verdict: 'linux has no IPFilter',
    })
  })
})

describe('the device', () => {
  const question = new Uint8Array(4)
  const ask = (kernel: FakeKernel, files: FakeFiles, mayWrite = false) =>
    new Device('/dev/pf', kernel, files, { mayWrite }).ask(1, question, [])

  it('is opened once and kept', () => {
    const files = new FakeFiles()
    const device = new Device('/dev/pf', new FakeKernel(Buffer.alloc(4), errno.ENOENT, Buffer.alloc(4)), files, { mayWrite: false })
    device.ask(1, question, [])
    device.ask(1, question, [])
    device.ask(1, question, [])
    expect(files.calls).toEqual(['open /dev/pf read = 10'])
    device.close()
    device.close()
    expect(files.calls).toEqual(['open /dev/pf read = 10', 'close 10'])
  })

  it('is opened anew, once, when it went away', () => {
    for (const gone of [errno.ENXIO, errno.ENODEV]) {
      const files = new FakeFiles()
      expect(ask(new FakeKernel(gone, Buffer.alloc(4)), files)).toEqual({ kind: 'answered' })
      expect(files.calls).toEqual(['open /dev/pf read = 10', 'close 10', 'open /dev/pf read = 11'])
      expect(ask(new FakeKernel(gone, gone), new FakeFiles())).toEqual({ kind: 'refused', errno: gone })
    }
  })

  it('does not close a number that is no longer ours', () => {
    const files = new FakeFiles()
    expect(ask(new FakeKernel(errno.EBADF, Buffer.alloc(4)), files)).toEqual({ kind: 'answered' })
    expect(files.calls).toEqual(['open /dev/pf read = 10', 'open /dev/pf read = 11'])
  })

  it('is opened for writing where the system wants that, and stays so', () => {
    const files = new FakeFiles()
    const device = new Device('/dev/pf', new FakeKernel(errno.EACCES, Buffer.alloc(4), errno.EACCES), files, { mayWrite: true })
    expect(device.ask(1, question, [])).toEqual({ kind: 'answered' })
    expect(device.ask(1, question, [])).toEqual({ kind: 'refused', errno: errno.EACCES })
    expect(files.calls).toEqual(['open /dev/pf read = 10', 'close 10', 'open /dev/pf read-write = 11'])
    expect(ask(new FakeKernel(errno.EACCES), new FakeFiles(), false)).toEqual({ kind: 'refused', errno: errno.EACCES })
  })

  it('tells a device that cannot be opened from an entry that is not there, and tries again at the next question', () => {
    const files = new FakeFiles(errno.ENOENT)
    const device = new Device('/dev/pf', new FakeKernel(errno.ENOENT), files, { mayWrite: false })
    expect(device.ask(1, question, [])).toEqual({
      kind: 'unopened',
      why: '/dev/pf cannot be opened: ENOENT (is the packet filter loaded?)',
    })
    expect(device.ask(1, question, [])).toEqual({ kind: 'refused', errno: errno.ENOENT })
  })

  it('is opened when the look-up is made, before privileges go; a failure is told later', () => {
    const files = new FakeFiles(errno.EACCES, errno.EACCES)
    const nat = lookup(new FakeKernel(), { files })
    expect(files.calls.length).toBe(1)
    expect(nat.originalDestination({ fd: 3, peer: endpoint('192.0.2.1', 5), local: endpoint('10.0.0.1', 80) })).toEqual({
      kind: 'broken',
      why: '/dev/pf cannot be opened: EACCES (it has to be opened before privileges are dropped)',
    })
  })

  it('opens real files and reports real failures', () => {
    const folder = mkdtempSync(join(tmpdir(), 'glassquid-nat-'))
    try {
      writeFileSync(join(folder, 'there'), '')
      const fd = systemFiles.open(join(folder, 'there'), 'read')
      expect(fd).toBeGreaterThan(2)
      systemFiles.close(fd)
      systemFiles.close(0x7ffffff0) // never open: giving up what is gone is quiet
      expect(systemFiles.open(join(folder, 'missing'), 'read-write')).toBe(-errno.ENOENT)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})

describe('the self-test', () => {
  const verdict = (script: number | Buffer, options: Partial<NatLookupOptions> = {}) =>
    lookup(new FakeKernel(script), options).selfTest()

  it('asks for a connection that cannot exist', () => {
    const kernel = new FakeKernel(errno.ENOENT)
    expect(lookup(kernel).selfTest()).toEqual({
      ok: true,
      verdict: 'pf (freebsd): the kernel understands the question (ENOENT)',
    })
    expect(kernel.asked[0]?.argument.slice(0, 8)).toBe('c0000201')
    expect(kernel.asked[0]?.argument.slice(32, 40)).toBe('c0000202')
  })

  it('fails on every other answer, and says what it means', () => {
    expect(verdict(errno.EACCES)).toEqual({
      ok: false,
      verdict: 'pf (freebsd): DIOCNATLOOK: this kernel has another size of the structure (EACCES)',
    })
    expect(verdict(errno.EINVAL).ok).toBe(false)
    expect(verdict(errno.EPERM, { platform: 'darwin' })).toEqual({
      ok: false,
      verdict: 'pf (macos): DIOCNATLOOK: this system lets only root ask (EPERM)',
    })
    expect(verdict(Buffer.alloc(76)).ok).toBe(false)
  })

  it('wants ESRCH from IPFilter', () => {
    const ipf = { backend: 'ipfilter', platform: 'freebsd' } as const
    expect(verdict(errno.ESRCH, ipf)).toEqual({
      ok: true,
      verdict: 'ipfilter 5.1: the kernel understands the question (ESRCH)',
    })
    expect(verdict(errno.EINVAL, ipf).verdict).toContain('another version or size')
    expect(verdict(errno.ENOENT, ipf).ok).toBe(false)
  })

  it('says why a device cannot be opened', () => {
    expect(lookup(new FakeKernel(), { files: new FakeFiles(errno.ENXIO, errno.ENXIO) }).selfTest()).toEqual({
      ok: false,
      verdict: 'pf (freebsd): /dev/pf cannot be opened: ENXIO (is the packet filter loaded?)',
    })
  })
})

describe('netfilter through the kernel primitive', () => {
  const kernelWith = (answer: Uint8Array | number) => {
    const asked: number[][] = []
    const kernel: Kernel = {
      ioctl: () => -errno.ENOTTY,
      getsockopt(fd, level, name, value) {
        asked.push([fd, level, name, value.length])
        if (typeof answer === 'number') return answer
        value.set(answer)
        return answer.length
      },
    }
    return { kernel, asked }
  }
  const netfilter = (kernel: Kernel) => createNatLookup({ backend: 'netfilter', kernel, isOwnEndpoint: nobody })
  const client = endpoint('192.0.2.1', 5)

  it('asks the level of the wire, not of the socket', () => {
    const { kernel, asked } = kernelWith(-errno.ENOENT)
    const nat = netfilter(kernel)
    nat.originalDestination({ fd: 7, peer: client, local: endpoint('10.0.0.1', 3129) })
    nat.originalDestination({ fd: 8, peer: endpoint('2001:db8::1', 5), local: endpoint('::1', 3129) })
    expect(asked).toEqual([
      [7, 0, 80, 16],
      [8, 41, 80, 28],
    ])
  })

  it('reads the answer', () => {
    const { kernel } = kernelWith(hex('02000050c63364070000000000000000'))
    expect(netfilter(kernel).originalDestination({ fd: 7, peer: client, local: endpoint('10.0.0.1', 3129) })).toEqual({
      kind: 'nat',
      destination: endpoint('198.51.100.7', 80),
    })
  })

  it('does not read an older answer when the kernel has none', () => {
    let answer = 16
    const kernel: Kernel = {
      ioctl: () => -errno.ENOTTY,
      getsockopt(_fd, _level, _name, value) {
        if (answer > 0) value.set(hex('02000050c63364070000000000000000'))
        return answer
      },
    }
    const nat = netfilter(kernel)
    const accepted = { fd: 7, peer: client, local: endpoint('10.0.0.1', 3129) }
    expect(nat.originalDestination(accepted).kind).toBe('nat')
    answer = -errno.ENOENT
    expect(nat.originalDestination(accepted)).toEqual({ kind: 'none', errno: 'ENOENT' })
    answer = 0
    expect(nat.originalDestination(accepted).kind).toBe('broken')
  })

  it('proves itself on a listening socket', () => {
    const listener = { fd: 5, endpoint: endpoint('::', 3129) }
    const test = (answer: Uint8Array | number) => netfilter(kernelWith(answer).kernel).selfTest(listener)
    expect(test(-errno.ENOENT)).toEqual({ ok: true, verdict: 'netfilter: SO_ORIGINAL_DST is answered' })
    expect(test(-errno.ENOPROTOOPT).verdict).toContain('nf_conntrack')
    expect(test(-errno.EPERM)).toEqual({ ok: false, verdict: 'netfilter: SO_ORIGINAL_DST failed with EPERM' })
    expect(test(new Uint8Array(28)).ok).toBe(false)
    expect(netfilter(kernelWith(0).kernel).selfTest().ok).toBe(false)
  })
})

describe('numbers and layouts', () => {
  it('computes the request numbers of the systems', () => {
    expect(pfRequest(pfLayouts.freebsd)).toBe(0xc04c4417)
    expect(pfRequest(pfLayouts.netbsd)).toBe(0xc04c4417)
    expect(pfRequest(pfLayouts.openbsd)).toBe(0xc0504417)
    expect(pfRequest(pfLayouts.macos)).toBe(0xc0544417)
    expect(ipfRequest).toBe(0xc038723f)
    // the historic ones follow from the same formula: an envelope with a 32-bit pointer, a pointer, the bare structure
    expect(iowr('r', 63, 52)).toBe(0xc034723f)
    expect(iowr('r', 63, 8)).toBe(0xc008723f)
    expect(iowr('r', 83, 24)).toBe(0xc0187253)
  })

  it('lays no field over another, and none past the end', () => {
    for (const layout of Object.values(pfLayouts)) {
      const { sport, dport, rdport, af, proto, direction } = layout
      const ports = [sport, dport, rdport].map(at => [at, 2] as const)
      const spans = [[0, 64] as const, ...ports, ...[af, proto, direction].map(at => [at, 1] as const)]
      const taken = new Set<number>()
      for (const [from, length] of spans) {
        for (let i = from; i < from + length; i++) {
          expect(taken.has(i)).toBe(false)
          taken.add(i)
          expect(i).toBeLessThan(layout.size)
        }
      }
    }
  })

  it('writes every byte of a question, whatever stood there before', () => {
    const v4 = fc.array(fc.integer({ min: 1, max: 254 }), { minLength: 4, maxLength: 4 }).map(octets => octets.join('.'))
    const end = fc.tuple(v4, fc.integer({ min: 1, max: 65535 })).map(([address, port]) => endpoint(address, port))
    fc.assert(
      fc.property(end, end, fc.constantFrom(...Object.values(pfLayouts)), (client, local, layout) => {
        const clean = new Uint8Array(layout.size)
        const dirty = new Uint8Array(layout.size).fill(0xff)
        packPf(layout, clean, client, local)
        packPf(layout, dirty, client, local)
        expect(dirty).toEqual(clean)
      }),
      { numRuns: 100 },
    )
  })

  it('knows what people use on a system', () => {
    expect(['linux', 'freebsd', 'netbsd', 'darwin', 'openbsd', 'sunos', 'aix'].map(usualBackend)).toEqual([
      'netfilter',
      'pf',
      'pf',
      'pf',
      'getsockname',
      'ipfilter',
      'getsockname',
    ])
  })

  it('asks nothing for a plain port', () => {
    const nat = lookup(new FakeKernel(), { backend: 'none' })
    expect(nat.originalDestination({ fd: 3, peer: endpoint('192.0.2.1', 5), local: endpoint('10.0.0.1', 80) })).toEqual({ kind: 'direct' })
    expect(nat.selfTest().ok).toBe(true)
  })
})
