import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ms, sleep, systemClock } from '../../src/base/index.ts'
import { httpOrigin, type Origin } from '../support/origin.ts'
import { type RunningProxy, startProxy } from '../support/proxy.ts'

// Squid and glassquid side by side: one conf, one origin, the same bytes from the same client addresses. What each made
// of a request is told in the same words, so that two of them can be compared.

export const noSquid: string | null = spawnSync('squid', ['-v'], { stdio: 'ignore' }).error === undefined ? null : 'needs squid: apt-get install squid'
if (noSquid !== null) console.warn(`SKIPPED: ${noSquid}`)

/** One request. `{origin}` in the target stands for the origin's address and port, `{port}` for the port alone. */
export interface Ask {
  /** 127.0.0.1 unless told. */
  readonly client?: string
  readonly method?: string
  readonly target: string
  readonly fields?: readonly (readonly [string, string])[]
  readonly version?: string
  readonly content?: string
  /** Instead of all the above but the client: these very bytes. */
  readonly raw?: string
}

export interface Made {
  readonly status: number
  /** `TCP_MISS`; '' when nothing was logged. */
  readonly result: string
  /** Names and values as the origin saw them, by name; null = it saw nothing. */
  readonly asked: readonly string[] | null
  /** Names and values of the response, by name. */
  readonly response: readonly string[]
  readonly body: string
  /** It answered bytes that may be no request at all. */
  readonly raw: boolean
}

/** Ask Squid first, then glassquid, the same. */
export interface Pair {
  readonly squid: (ask: Ask) => Promise<Made>
  readonly glassquid: (ask: Ask) => Promise<Made>
}

const common = `visible_hostname proxy.test
unique_hostname proxy.test
pid_filename none
shutdown_lifetime 0 seconds
dns_timeout 1 second
dns_nameservers 127.0.0.1
cache_mem 16 MB
`

/** Clients. Those that have a name have it without a question on the wire. */
const addresses = ['127.0.0.2', '127.0.0.4', '127.0.0.9', '127.0.0.10', '127.0.0.15', '127.0.0.16', '127.0.0.31', '127.0.0.32', '127.0.0.63', '127.0.0.64', '127.0.0.127', '127.0.0.128', '127.0.0.143', '127.0.0.144'] as const
const hostNameOf = (address: string): string => (address === '127.0.0.9' ? 'pc9.office.test' : address === '127.0.0.10' ? 'PC10.home.test' : `h${address.replaceAll('.', '-')}.net.test`)

/** Names that resolve, in both. */
export const names = [
  'good.test', 'www.good.test', 'bad.test', 'www.bad.test', 'a.b.bad.test', 'xbad.test', 'bad.test.good.test', 'numbers123.test', 'upper.test',
] as const

export const withPair = async (conf: string, use: (pair: Pair) => Promise<void>): Promise<void> => {
  const folder = mkdtempSync(join(tmpdir(), 'glassquid-squid-'))
  chmodSync(folder, 0o777) // Squid started by root becomes somebody else
  const origin = await httpOrigin(answer)
  const hosts = join(folder, 'hosts')
  // localhost at both ends: Squid calls an address by its last name, and we by its first
  writeFileSync(hosts, ['127.0.0.1 localhost', ...addresses.map(address => `${address} ${hostNameOf(address)}`), ...names.map(name => `127.0.0.1 ${name}`), '127.0.0.1 localhost'].map(line => `${line}\n`).join(''))
  const text = `${common}hosts_file ${hosts}\n${conf.replaceAll('{port}', String(origin.port))}`
  const squid = await startSquid(folder, text)
  let proxy: RunningProxy | null = null
  try {
    proxy = await startProxy(`http_port 127.0.0.1:0 name=p\n${text.replace(/^(visible_hostname|pid_filename|shutdown_lifetime) .*\n/gm, '')}`)
    const ours = proxy
    const port = ours.port('p')
    // requests are sent one after the other: the first new line is this one's
    await use({
      squid: ask => made(ask, squid.port, origin, squid.result()),
      glassquid: ask => {
        const before = ours.records.length
        return made(ask, port, origin, async () => {
          await until(() => ours.records.length > before)
          return ours.records[before]?.result ?? ''
        })
      },
    })
  } finally {
    await proxy?.stop()
    await squid.stop()
    await origin.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** The query says what to answer: s status, h field (many), b content, l its length. */
const answer: Parameters<typeof httpOrigin>[0] = (request, response) => {
  const query = new URL(request.url ?? '/', 'http://x').searchParams
  const etag = query.get('etag')
  response.sendDate = !query.has('nodate')
  for (const field of query.getAll('h')) {
    const at = field.indexOf(':')
    response.appendHeader(field.slice(0, at), field.slice(at + 1).trim())
  }
  if (etag !== null) response.setHeader('ETag', etag)
  const lastModified = response.getHeader('Last-Modified')
  const unchanged =
    (etag !== null && request.headers['if-none-match'] === etag) ||
    (lastModified !== undefined && request.headers['if-none-match'] === undefined && request.headers['if-modified-since'] === lastModified)
  if (unchanged) {
    response.writeHead(304).end()
    return
  }
  const content = query.get('b') ?? 'content'
  if (!query.has('chunked')) response.setHeader('Content-Length', Buffer.byteLength(content))
  response.writeHead(Number(query.get('s') ?? 200))
  response.end(request.method === 'HEAD' ? undefined : content)
}

export interface RunningSquid {
  readonly port: number
  /** Asked before a request: what will be logged of it, in `format`. */
  result(): () => Promise<string>
  stop(): Promise<void>
}

export const startSquid = async (folder: string, text: string, format = '%Ss'): Promise<RunningSquid> => {
  const log = join(folder, 'access.log')
  const confFile = join(folder, 'squid.conf')
  for (let attempt = 0; ; attempt++) {
    const port = await freePort()
    writeFileSync(
      confFile,
      `http_port 127.0.0.1:${port} name=p\n${text}\nlogformat pair ${format}\naccess_log stdio:${log} logformat=pair\nbuffered_logs off
cache_log ${join(folder, 'cache.log')}\ncoredump_dir ${folder}\nmemory_cache_shared off\nnetdb_filename none\npinger_enable off\n`,
    )
    const name = `pair${process.pid}x${port}`
    const child = spawn('squid', ['-N', '-n', name, '-f', confFile], { stdio: ['ignore', 'ignore', 'pipe'] })
    let complaint = ''
    child.stderr?.on('data', (chunk: Buffer) => {
      complaint += chunk.toString()
    })
    if (await answersOn(port, child)) {
      // asking whether it listens has left a line
      await until(() => readLines(log).length > 0)
      return {
        port,
        result() {
          const before = readLines(log).length
          return async () => {
            await until(() => readLines(log).length > before)
            return readLines(log)[before] ?? ''
          }
        },
        stop: () => stopped(child, name),
      }
    }
    await stopped(child, name)
    if (attempt >= 2) throw new Error(`squid does not start: ${complaint}`)
  }
}

const readLines = (path: string): string[] => {
  try {
    return readFileSync(path, 'latin1').split('\n').slice(0, -1)
  } catch {
    return [] // nothing logged yet
  }
}

export const freePort = async (): Promise<number> => {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

const answersOn = async (port: number, child: ChildProcess): Promise<boolean> => {
  for (let i = 0; i < 500 && child.exitCode === null; i++) {
    const socket = net.connect(port, '127.0.0.1')
    const up = await new Promise<boolean>(resolve => socket.once('connect', () => resolve(true)).once('error', () => resolve(false)))
    socket.destroy()
    if (up) return true
    await sleep(systemClock, ms(20))
  }
  return false
}

/** Killed, since it takes a second to end; the shared memory it would have removed is removed here. */
const stopped = async (child: ChildProcess, name: string): Promise<void> => {
  if (child.exitCode === null && child.signalCode === null) {
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }
  for (const segment of readdirSync('/dev/shm')) if (segment.startsWith(`${name}-`)) rmSync(join('/dev/shm', segment), { force: true })
}

const until = async (done: () => boolean): Promise<void> => {
  for (let i = 0; i < 500 && !done(); i++) await sleep(systemClock, ms(5))
}

// --- asking ---

const made = async (ask: Ask, port: number, origin: Origin, result: () => Promise<string>): Promise<Made> => {
  const before = origin.requests.length
  const text = await exchange(port, ask.client ?? '127.0.0.1', requestText(ask, origin.port))
  const seen = origin.requests.at(before) ?? null
  const head = /^HTTP\/1\.[01] (\d{3})[^\r\n]*\r\n([\s\S]*?)\r\n\r\n([\s\S]*)$/.exec(finalResponse(text))
  const [, status = '0', fields = '', body = ''] = head ?? []
  return {
    status: Number(status),
    result: await result(),
    asked: seen === null ? null : sortedFields(pairsOf(seen.rawHeaders)),
    response: sortedFields(fields.split('\r\n').map(line => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()])),
    body,
    raw: ask.raw !== undefined,
  }
}

const finalResponse = (text: string): string => text.replace(/^(?:HTTP\/1\.[01] 1\d\d [\s\S]*?\r\n\r\n)+/, '')

const requestText = (ask: Ask, originPort: number): string => {
  const fill = (text: string) => text.replaceAll('{origin}', `127.0.0.1:${originPort}`).replaceAll('{port}', String(originPort))
  if (ask.raw !== undefined) return fill(ask.raw)
  const target = fill(ask.target).replaceAll(' ', '%20')
  const host = /^https?:\/\/(?:[^/]*@)?([^/]*)/.exec(target)?.[1] ?? target
  const content = ask.content ?? ''
  const fields = [['Host', host], ...(ask.fields ?? []), ...(content === '' ? [] : [['Content-Length', String(content.length)]]), ['Connection', 'close']]
  return `${ask.method ?? 'GET'} ${target} HTTP/${ask.version ?? '1.1'}\r\n${fields.map(([n, v]) => `${n}: ${fill(v ?? '')}\r\n`).join('')}\r\n${content}`
}

const answerMsMax = 20_000

export const exchange = (port: number, client: string, bytes: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    const socket = net.connect({ port, host: '127.0.0.1', localAddress: client })
    socket.setTimeout(answerMsMax, () => socket.destroy(new Error(`no answer to ${bytes}`)))
    socket.on('connect', () => void socket.write(Buffer.from(bytes, 'latin1')))
    socket.on('data', (chunk: Buffer) => void chunks.push(chunk))
    const all = () => resolve(Buffer.concat(chunks).toString('latin1'))
    socket.on('end', all)
    socket.on('error', error => ('code' in error && error.code === 'ECONNRESET' ? all() : reject(error)))
    // a tunnel stays open: its answer is all we want
    socket.on('data', () => {
      if (bytes.startsWith('CONNECT') && Buffer.concat(chunks).includes('\r\n\r\n')) socket.end()
    })
  })

const pairsOf = (raw: readonly string[]): (readonly [string, string])[] =>
  Array.from({ length: raw.length / 2 }, (_, i) => [raw[2 * i] ?? '', raw[2 * i + 1] ?? ''] as const)

const sortedFields = (pairs: readonly (readonly string[])[]): string[] =>
  pairs.map(([name = '', value = '']) => `${name.toLowerCase()}: ${value}`).sort()
