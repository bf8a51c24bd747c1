import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { AccessFacts, compileAccessList, compileAcls } from '../../src/acl/index.ts'
import { endpoint, formatIPv4, wallMs } from '../../src/base/index.ts'
import type { AccessLine, AclDefinition } from '../../src/conf/config.ts'
import { collectGarbage } from '../../src/cli/collect-garbage.ts'
import { cpuSeconds, median, residentBytes } from './measure.ts'

// A million domains, and a million networks, as files of one ACL each: how long glassquid and Squid take from the command
// to the first answer, what the processes hold then, and what one decision costs.
//
//   bin/nodex test/bench/acl-sets.ts [COUNT] [ROUNDS]

const count = Number(process.argv[2] ?? '1000000')
const rounds = Number(process.argv[3] ?? '3')
const asked = 200_000
const program = join(import.meta.dirname, '../../bin/glassquid')

/** The same numbers every time (xorshift). */
let state = 0x9e3779b9
const random = (below: number): number => {
  state ^= state << 13
  state ^= state >>> 17
  state ^= state << 5
  return (state >>> 0) % below
}

const shuffled = <T>(list: T[]): T[] => {
  for (let i = list.length - 1; i > 0; i--) {
    const j = random(i + 1)
    const a = list[i] as T // within
    list[i] = list[j] as T
    list[j] = a
  }
  return list
}

/** Names as lists of the web have them: all different, none below another, most of them `.name.tld`. */
const domains = (): string[] => {
  const tlds = ['com', 'net', 'org', 'de', 'co.uk', 'info', 'xyz', 'ru', 'com.br', 'io']
  const letters = 'abcdefghijklmnopqrstuvwxyz-'
  return Array.from({ length: count }, (_, i) => {
    const word = Array.from({ length: 4 + random(12) }, () => letters[random(26)]).join('')
    const below = random(5) === 0 ? `${'cdn ads www track img'.split(' ')[random(5)]}.` : ''
    return `.${below}${word}${i.toString(36)}.${tlds[random(tlds.length)]}`
  })
}

/** Disjoint, so that Squid need not complain of each; of different sizes. */
const networks = (): string[] =>
  shuffled(Array.from({ length: count }, (_, i) => `${formatIPv4((0x0b000000 + i * 256 * 12) % 0xdf000000 >>> 0)}/${24 + random(9)}`))

const definition = (name: string, type: string, texts: readonly string[]): AclDefinition => {
  const at = { file: 'bench', line: 1, column: 1, from: null }
  return { name, type, flags: [], argument: null, values: texts.map(text => ({ text, at, caseInsensitive: false })), builtIn: false, at }
}

const timed = (what: string, each: (i: number) => boolean): void => {
  const times: number[] = []
  let found = 0
  for (let round = 0; round <= 5; round++) {
    const start = process.cpuUsage()
    for (let i = 0; i < asked; i++) if (each(i)) found++
    if (round > 0) times.push((process.cpuUsage(start).user * 1000) / asked) // the first one compiles
  }
  const sorted = times.toSorted((a, b) => a - b)
  console.log(`${what.padEnd(56)} ${Math.round(median(times))} ns (${Math.round(sorted[0] ?? 0)}..${Math.round(sorted.at(-1) ?? 0)}), ${Math.round((100 * found) / (6 * asked))} % denied`)
}

/** One `deny` line over the set and one `allow all`, half the requests in the set. */
const decisions = (type: 'dstdomain' | 'src', texts: readonly string[]): void => {
  collectGarbage()
  const before = process.memoryUsage()
  const { acls, problems } = compileAcls([definition('set', type, texts)])
  if (problems.length > 0) console.log(`${problems.length} problems: ${problems[0]?.message}`)
  collectGarbage()
  const grown = process.memoryUsage().arrayBuffers - before.arrayBuffers
  console.log(`${`${type}: the set itself`.padEnd(56)} ${(grown / 2 ** 20).toFixed(0)} MiB`)
  const at = { file: 'bench', line: 1, column: 1, from: null }
  const line = (action: 'allow' | 'deny', name: string): AccessLine => ({ action, acls: [{ name, negated: false }], text: '', at })
  const list = compileAccessList([line('deny', 'set'), line('allow', 'all')], acls, 'deny')
  const drawn = Array.from({ length: asked }, (_, i) => (texts[random(texts.length)] ?? '').replace(/\/.*/, '').replace(/^\./, i % 2 === 0 ? 'www.' : 'x'))
  if (type === 'dstdomain') {
    const facts = new AccessFacts(endpoint('192.0.2.1', 1), endpoint('192.0.2.2', 80), 'p')
    facts.now = wallMs(0)
    timed('dstdomain: one decision', i => {
      facts.host = drawn[i] as string
      return !list.checkFast(facts).allowed
    })
    return
  }
  // from the text of an address, as for the first request of a connection
  const local = endpoint('192.0.2.2', 80)
  const clients = drawn.map((text, i) => endpoint(i % 2 === 0 ? text : formatIPv4(random(2 ** 32)), 1))
  timed('src: one decision, of a connection that has just come', i => !list.checkFast(new AccessFacts(clients[i] as (typeof clients)[0], local, 'p')).allowed)
}

const freePort = (): Promise<number> =>
  new Promise(resolve => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })

const answers = (port: number): Promise<boolean> =>
  new Promise(resolve => {
    const socket = connect(port, '127.0.0.1', () => socket.write('GET http://127.0.0.1:1/ HTTP/1.1\r\nHost: 127.0.0.1:1\r\nConnection: close\r\n\r\n'))
    socket.on('data', () => resolve(true)).on('error', () => resolve(false)).on('end', () => socket.destroy())
  })

interface Start {
  readonly seconds: number
  readonly cpu: number
  readonly bytes: number
}

const started = async (who: 'glassquid' | 'squid', folder: string, acl: string): Promise<Start> => {
  const port = await freePort()
  const conf = join(folder, 'conf')
  const own = who === 'squid' ? `coredump_dir ${folder}\nmemory_cache_shared off\nnetdb_filename none\npinger_enable off\n` : ''
  writeFileSync(conf, `http_port 127.0.0.1:${port}\n${acl}http_access allow all\ncache_mem 16 MB\naccess_log none\ncache_log ${join(folder, 'log')}\npid_filename none\nvisible_hostname bench\n${own}`)
  const begun = performance.now()
  const child: ChildProcess = who === 'squid'
    ? spawn('squid', ['-N', '-n', `acl${process.pid}x${port}`, '-f', conf], { stdio: 'ignore' })
    : spawn(program, ['-f', conf], { stdio: 'ignore' })
  const pid = child.pid ?? 0
  try {
    while (!(await answers(port))) {
      if (child.exitCode !== null) throw new Error(`${who} ended: ${readFileSync(join(folder, 'log'), 'latin1').slice(-500)}`)
      if (performance.now() - begun > 300_000) throw new Error(`${who} does not answer within five minutes`)
      await new Promise(resolve => setTimeout(resolve, 10))
    }
    const seconds = (performance.now() - begun) / 1000
    const cpu = cpuSeconds(pid)
    await new Promise(resolve => setTimeout(resolve, 3000)) // what the start needed is given back
    return { seconds, cpu, bytes: residentBytes(pid) }
  } finally {
    const gone = new Promise(resolve => child.on('exit', resolve))
    child.kill('SIGKILL')
    await gone
  }
}

const folder = mkdtempSync(join(tmpdir(), 'glassquid-acls-'))
try {
  chmodSync(folder, 0o777) // Squid started by root becomes somebody else
  console.log(`${cpus()[0]?.model}, ${cpus().length} cores; ${count} values per ACL\n`)
  const sets = { dstdomain: domains(), src: networks() }
  for (const type of ['dstdomain', 'src'] as const) {
    writeFileSync(join(folder, type), `${sets[type].join('\n')}\n`)
    decisions(type, sets[type])
  }
  const subjects = (['glassquid', 'squid'] as const).filter(who => who !== 'squid' || spawnSync('squid', ['-v']).error === undefined)
  for (const what of ['nothing', 'dstdomain', 'src'] as const) {
    const acl = what === 'nothing' ? '' : `acl set ${what} "${join(folder, what)}"\nhttp_access deny set\n`
    const found = new Map<string, Start[]>()
    for (let round = 0; round < rounds; round++) {
      for (const who of subjects) found.set(who, [...(found.get(who) ?? []), await started(who, folder, acl)])
    }
    for (const [who, starts] of found) {
      const of = (value: (start: Start) => number): string => median(starts.map(value)).toFixed(1)
      console.log(`${what.padEnd(10)} ${who.padEnd(10)} first answer after ${of(s => s.seconds)} s (CPU ${of(s => s.cpu)} s), then ${of(s => s.bytes / 2 ** 20)} MiB`)
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
