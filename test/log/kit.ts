import type { LogFileSystem } from '../../src/log/index.ts'
import { endpoint, type FieldView, monoMs, newOutcome, type Outcome, wallMs } from '../../src/base/index.ts'
import type { AccessLogLine, LogFormat } from '../../src/conf/config.ts'
import { kib } from '../../src/base/index.ts'

const place = { file: 'x.conf', line: 1, column: 1, from: null }

export const fields = (...pairs: readonly string[]): FieldView => ({
  pairs,
  get: name => pairs[pairs.findIndex((p, i) => i % 2 === 0 && p.toLowerCase() === name) + 1],
  joined: name => {
    const values = pairs.filter((_, i) => i % 2 === 1 && pairs[i - 1]?.toLowerCase() === name)
    return values.length === 0 ? undefined : values.join(', ')
  },
})

/** A miss fetched from an origin: the line of which is known from Squid 5.7. */
export const outcomeOf = (of: Partial<Outcome> = {}): Outcome => ({
  ...newOutcome({
    startedAt: wallMs(1_795_156_622_789),
    startedMono: monoMs(1000),
    client: endpoint('127.0.0.1', 56878),
    clientLocal: endpoint('127.0.0.1', 13128),
    portName: '127.0.0.1:13128',
    taken: 'direct',
  }),
  endedMono: monoMs(1001.7),
  method: 'GET',
  uri: 'http://127.0.0.1:18080/plain',
  versionMinor: 1,
  requestFields: fields('User-Agent', 'UA/1.0', 'Host', '127.0.0.1:18080'),
  requestHeadBytes: 131,
  result: 'TCP_MISS',
  hierarchy: 'HIER_DIRECT',
  server: endpoint('127.0.0.1', 18080),
  serverLocal: endpoint('127.0.0.1', 49734),
  serverStatus: 200,
  attempts: 1,
  serverContentBytes: 5,
  serverResponseMs: 0,
  serverTotalMs: 1,
  status: 200,
  responseFields: fields('Content-Type', 'text/html', 'X-Two', 'a, b', 'X-Two', 'c"d'),
  contentType: 'text/html',
  responseBytes: 274,
  responseHeadBytes: 269,
  ...of,
})

export const lineOf = (of: Partial<AccessLogLine> = {}): AccessLogLine => ({
  module: 'stdio',
  place: '/log/access.log',
  level: null,
  format: 'squid',
  acls: [],
  bufferSize: kib(64),
  onError: 'drop',
  rotate: null,
  text: '',
  at: place,
  ...of,
})

export const formatOf = (name: string, text: string): LogFormat => ({ name, text, at: place })

/** Files in memory, with the faults a disk can have. Writes are answered when a test says so, or at once. */
export class MemoryFiles implements LogFileSystem {
  readonly contents = new Map<string, string>()
  readonly #open = new Map<number, string>()
  /** Names follow renames: an open descriptor keeps writing to the file, not the name. */
  readonly #names = new Map<number, string>()
  #next = 10
  openError: string | null = null
  writeError: string | null = null
  /** Bytes a single write may take. */
  writeMax = Number.POSITIVE_INFINITY
  /** Writes wait for `answer`. */
  held = false
  readonly #waiting: (() => void)[] = []
  writes = 0

  get descriptors(): number {
    return this.#open.size
  }

  open(path: string): number {
    if (this.openError !== null) throw Object.assign(new Error(this.openError), { code: this.openError })
    const fd = this.#next++
    this.#open.set(fd, path)
    this.#names.set(fd, path)
    if (!this.contents.has(path)) this.contents.set(path, '')
    return fd
  }

  write(fd: number, bytes: Uint8Array, done: (error: Error | null, written: number) => void): void {
    const act = () => {
      this.writes++
      const name = this.#names.get(fd)
      if (name === undefined) return done(Object.assign(new Error('EBADF'), { code: 'EBADF' }), 0)
      if (this.writeError !== null) return done(Object.assign(new Error(this.writeError), { code: this.writeError }), 0)
      const taken = bytes.subarray(0, Math.min(bytes.length, this.writeMax))
      this.contents.set(name, (this.contents.get(name) ?? '') + Buffer.from(taken).toString('latin1'))
      done(null, taken.length)
    }
    if (this.held) this.#waiting.push(act)
    else queueMicrotask(act)
  }

  /** The disk answers everything it was asked. */
  answer(): void {
    for (const act of this.#waiting.splice(0)) act()
  }

  close(fd: number): void {
    if (!this.#open.delete(fd)) throw new Error(`closed twice: ${fd}`)
    this.#names.delete(fd)
  }

  rename(from: string, to: string): void {
    const content = this.contents.get(from)
    if (content === undefined) throw Object.assign(new Error('ENOENT'), { code: 'ENOENT' })
    this.contents.delete(from)
    this.contents.set(to, content)
    for (const [fd, name] of this.#names) if (name === to) this.#names.set(fd, `${to} (gone)`)
    for (const [fd, name] of this.#names) if (name === from) this.#names.set(fd, to)
  }

  isRegular(path: string): boolean {
    return this.contents.has(path)
  }

  isAt(path: string, fd: number): boolean {
    return this.#names.get(fd) === path
  }
}

/** Lets what was answered in microtasks happen. */
export const settle = async (): Promise<void> => {
  for (let i = 0; i < 20; i++) await Promise.resolve()
}
