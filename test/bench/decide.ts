import { cpus } from 'node:os'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { compileZones, IpKey, type ZoneLine } from '../../src/acl/index.ts'
import { endpoint, formatIPv4, wallMs } from '../../src/base/index.ts'
import { compileRules, noInterfaces, type RuleLine, type Tuple, tupleOf } from '../../src/dispatch/index.ts'
import { median } from './measure.ts'

// How long it takes to find the zone of an address among a million networks, and the rule among ten thousand.
//
//   bin/nodex test/bench/decide.ts [ROUNDS]
//
// Addresses are drawn from all over the table, so that what is measured is memory as it will be, not a warm cache line.

setFlagsFromString('--expose-gc')
const collect: unknown = runInNewContext('gc')

/** What is held in arrays, and no more. */
const arrayBytes = (): number => {
  for (let i = 0; i < 3; i++) if (typeof collect === 'function') collect()
  return process.memoryUsage().arrayBuffers
}

const rounds = Number(process.argv[2] ?? '5')
const prefixes = 1_000_000
const ruleCount = 10_000
const zoneCount = 2000
const asked = 200_000

/** The same numbers every time (xorshift). */
let state = 0x9e3779b9
const random = (below: number): number => {
  state ^= state << 13
  state ^= state >>> 17
  state ^= state << 5
  return (state >>> 0) % below
}

const at = { file: 'bench', line: 1, column: 1, from: null }
const word = (text: string) => ({ text, at })

const networks = (family: 4 | 6): string[] => {
  const found = new Set<string>()
  while (found.size < prefixes) {
    const a = random(2 ** 32)
    if (family === 4) {
      const length = 16 + random(17)
      found.add(`${formatIPv4(length === 32 ? a : (a & (0xffffffff << (32 - length))) >>> 0)}/${length}`)
    } else found.add(`2001:${(a >>> 16).toString(16)}:${(a & 0xffff).toString(16)}:${random(16).toString(16)}::/${64 - random(2)}`)
  }
  return [...found]
}

const zoneLines = (texts: readonly string[]): ZoneLine[] =>
  Array.from({ length: zoneCount }, (_, i) => ({
    name: `z${i}`,
    parent: i < 20 ? null : `z${Math.floor(i / 20)}`,
    umbrella: false,
    inbound: null,
    outbound: null,
    addresses: texts.slice((i * prefixes) / zoneCount, ((i + 1) * prefixes) / zoneCount).map(word),
    at,
  }))

const ports = ['25', '53', '80', '110', '143', '443', '993', '1000-2000', '8080', '1024-65535']

const ruleLines = (texts: readonly string[]): RuleLine[] =>
  Array.from({ length: ruleCount }, (_, i): RuleLine => {
    const nothing: RuleLine['src'] = []
    const zone = () => [word(`z${random(zoneCount)}`)]
    const net = () => [word(texts[random(texts.length)] ?? '')]
    const kind = i % 5
    return {
      id: null, proto: i % 3 === 0 ? ['tcp'] : [], srcIface: nothing, srcGroup: nothing, srcPort: nothing,
      dstPort: kind === 4 ? nothing : [word(ports[random(ports.length)] ?? '80')],
      src: kind === 1 ? net() : nothing, srcZone: kind === 0 || kind === 2 ? zone() : nothing,
      dst: kind === 2 ? net() : nothing, dstZone: kind === 0 || kind === 3 || kind === 4 ? zone() : nothing,
      dstIface: nothing, dstGroup: nothing, acl: [], detect: [], service: `s${i}`, text: '', at,
    }
  })

const ports16 = Uint16Array.from({ length: 4096 }, () => (random(4) === 0 ? 80 : 1 + random(2000)))

const wordsOf = (key: IpKey, address: string): readonly number[] => {
  key.set(address)
  return [key.a, key.b, key.c, key.d]
}

const writeKey = (key: IpKey, words: Uint32Array, at: number): void => {
  key.a = words[at] as number
  key.b = words[at + 1] as number
  key.c = words[at + 2] as number
  key.d = words[at + 3] as number
}

/** CPU time, since others may want the core as well. Nanoseconds for one: the median over the rounds, with least and most. */
const measure = (what: string, each: (i: number) => unknown): void => {
  const times: number[] = []
  let kept = 0
  for (let round = 0; round <= rounds; round++) {
    const start = process.cpuUsage()
    for (let i = 0; i < asked; i++) if (each(i) !== null) kept++
    if (round > 0) times.push((process.cpuUsage(start).user * 1000) / asked) // the first one compiles
  }
  const sorted = times.toSorted((a, b) => a - b)
  console.log(`${what.padEnd(60)} ${Math.round(median(times))} ns (${Math.round(sorted[0] ?? 0)}..${Math.round(sorted.at(-1) ?? 0)})  found ${Math.round((100 * kept) / (asked * (rounds + 1)))} %`)
}

const timed = <T>(what: string, make: () => T): T => {
  const start = process.cpuUsage()
  const made = make()
  const { user, system } = process.cpuUsage(start)
  console.log(`${what.padEnd(60)} ${((user + system) / 1e6).toFixed(2)} s`)
  return made
}

console.log(`${cpus()[0]?.model}, ${cpus().length} cores; ${prefixes} networks in ${zoneCount} zones, ${ruleCount} rules\n`)
const measureFamily = (family: 4 | 6): void => {
  const texts = networks(family)
  const lines = zoneLines(texts)
  const before = arrayBytes()
  const { table, problems } = timed(`IPv${family}: zones from text`, () => compileZones(lines))
  if (problems.length > 0) throw new Error(problems[0]?.message)
  console.log(`${`IPv${family}: memory of the table`.padEnd(60)} ${((arrayBytes() - before) / 2 ** 20).toFixed(0)} MiB`)
  const options = { zones: table, conditionOf: () => ({ holds: () => true }), groupNumber: () => null }
  const { set } = timed(`IPv${family}: rules from lines, collisions looked for`, () => compileRules(ruleLines(texts), options))

  // a string of its own, as comm makes it, and not a part of a longer one
  const addressOf = () => Buffer.from((texts[random(texts.length)] ?? '').replace(/\/.*/, '')).toString('latin1')
  const sources = Array.from({ length: asked }, () => endpoint(addressOf(), 1024 + random(60_000)))
  const targets = Array.from({ length: asked }, () => endpoint(addressOf(), random(4) === 0 ? 80 : 1 + random(2000)))
  // words beside each other: objects of their own would be cold, which those of a connection that has just come are not
  const words = new Uint32Array(asked * 8)
  const key = new IpKey('')
  sources.forEach(({ address }, i) => words.set(wordsOf(key, address), i * 8))
  targets.forEach(({ address }, i) => words.set(wordsOf(key, address), i * 8 + 4))
  const arrival = { proto: 'tcp' as const, src: endpoint('', 0), dst: endpoint('', 0), iface: null, portName: '', now: wallMs(0) }
  const tuple = tupleOf({ ...arrival, src: endpoint(addressOf(), 1), dst: endpoint(addressOf(), 1) }, table, noInterfaces)
  const { srcKey, dstKey } = tuple
  const src = { ...tuple.src }
  const dst = { ...tuple.dst }
  const writable = tuple as { -readonly [K in keyof Tuple]: Tuple[K] } // one object for all: it is read at once
  const describe = (i: number): void => {
    writeKey(srcKey, words, i * 8)
    writeKey(dstKey, words, i * 8 + 4)
    src.port = 1024 + (i % 60_000)
    dst.port = ports16[i % 4096] as number
    writable.src = src
    writable.dst = dst
  }
  measure(`IPv${family}: zone of an address`, i => {
    writeKey(srcKey, words, i * 8)
    return table.of(srcKey)
  })
  measure(`IPv${family}: zones of both ends, and the rule`, i => {
    describe(i)
    writable.srcZone = table.of(srcKey)
    writable.dstZone = table.of(dstKey)
    return set.decide(tuple)
  })
  measure(`IPv${family}: the same from addresses as text`, i => {
    return set.decide(tupleOf({ ...arrival, src: sources[i] as typeof src, dst: targets[i] as typeof dst }, table, noInterfaces))
  })
}

for (const family of [4, 6] as const) measureFamily(family)
