import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type DurationMs, ms, sleep, systemClock } from '../../src/base/index.ts'
import { type AccessRecord, parseAccessRecord } from '../../src/intercept/lab/access-record.ts'
import { labAddresses, type Network, type Ran, type Running } from './net-lab.ts'

// The gateway as somebody would set it up in place of Squid: the kernel rules of `glassquid rules --apply`, and the
// daemon, `glassquid -f FILE`, both on the lab's middle machine. Every test looks at three places: what the client got,
// what the proxy wrote into its access log, and what the origin saw.

export const home = new URL('../..', import.meta.url).pathname
export const glassquid = join(home, 'bin/glassquid')
export const program = (name: string): string => new URL(`./programs/${name}.ts`, import.meta.url).pathname

/** Ports of the origin, and how a packet to them is taken. */
export const tproxyPort = 80
export const deadPort = 81
export const natPort = 8080

/** A short conf as many a Squid has it; tests add what they are about. */
export const squidLikeConf = `
acl localnet src 198.51.100.0/24 2001:db8:c::/64
acl SSL_ports port 443
acl Safe_ports port 80-82 443 1025-65535
acl CONNECT method CONNECT
http_access deny !Safe_ports
http_access deny CONNECT !SSL_ports
http_access allow localhost manager
http_access deny manager
http_access allow localnet
http_access allow localhost
http_access deny all

http_port 3128
http_port 3129 intercept
http_port 3130 tproxy

cache_mem 64 MB
maximum_object_size_in_memory 8 MB
refresh_pattern -i (/cgi-bin/|\\?) 0 0% 0
refresh_pattern . 0 20% 4320

visible_hostname gateway.lab
pid_filename /run/glassquid/glassquid.pid
access_log stdio:/run/glassquid/access.log squid
cache_log /run/glassquid/cache.log
hosts_file /etc/hosts
dns_nameservers 127.0.0.1
dns_timeout 2 seconds
`

/** What tests read: on standard output, line by line as soon as a transaction is over. */
export const factsLog = `
logformat facts taken=%glass::taken client=%>a clientPort=%>p destination=%>la destinationPort=%>lp result=%Ss status=%>Hs bytes=%<st ms=%tr method=%rm uri=%>ru hierarchy=%Sh serverLocal=%<la serverLocalPort=%<lp
access_log stdio:/dev/stdout logformat=facts buffer-size=0
`

export interface GatewayOptions {
  readonly conf?: string
  /** Words for `glassquid rules`; null: no rules. */
  readonly rules?: readonly string[] | null
  /** Instead of `glassquid`: a command that ends in running it. */
  readonly under?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** More words for the daemon: `-d1` has it say on standard error what it logs. */
  readonly args?: readonly string[]
}

/** Lets a test ask what is alive in its heap. */
export const inspected = { NODE_OPTIONS: '--inspect=127.0.0.1:0' }

export const usualRules: readonly string[] = [
  ...['nft', '--interface', 'lan'],
  ...['--take', `${tproxyPort},${deadPort}=3130`, '--take', `${natPort}=3129`],
]

export const confPath = '/run/glassquid/glassquid.conf'

export class Gateway {
  readonly lab: Network
  readonly records: AccessRecord[] = []
  proxy: Running
  readonly #options: GatewayOptions
  readonly #waiting = new Set<() => void>()
  #inspector: Promise<string> | null = null

  private constructor(lab: Network, options: GatewayOptions) {
    this.lab = lab
    this.#options = options
    this.proxy = this.#spawn()
  }

  /** Rules loaded, daemon ready. */
  static async open(lab: Network, options: GatewayOptions = {}): Promise<Gateway> {
    writeConf(lab, options.conf ?? squidLikeConf + factsLog)
    const { rules = usualRules } = options
    if (rules !== null) await applyRules(lab, ...rules)
    const gateway = new Gateway(lab, options)
    await gateway.ready()
    return gateway
  }

  /** The daemon again, after it has ended. */
  async start(): Promise<void> {
    this.proxy = this.#spawn()
    await this.ready()
  }

  ready(): Promise<string> {
    return this.proxy.heard(/^ready: .*$/m)
  }

  #spawn(): Running {
    const [command = glassquid, ...args] = [
      ...(this.#options.under ?? []),
      glassquid,
      ...['-f', confPath],
      ...(this.#options.args ?? []),
    ]
    const { env } = this.#options
    const proxy = this.lab.gateway.spawn(command, args, env === undefined ? {} : { env })
    // at once: it is among the first things that are said
    this.#inspector = env === inspected ? proxy.heard(/^Debugger listening on ws:.*$/m) : null
    proxy.onLine(line => {
      const record = parseAccessRecord(line)
      if (record === null) return
      this.records.push(record)
      for (const look of [...this.#waiting]) look()
    })
    return proxy
  }

  /** What is alive in its heap, once what is dead has been collected: it has to be `inspected`. */
  async aliveBytes(): Promise<number> {
    const listening = await this.#inspector
    if (listening === null) throw new Error('it has been started without `inspected`')
    return Number(await this.lab.gateway.must(process.execPath, program('heap-size'), listening.replace(/^.* /, '')))
  }

  /** `glassquid -k WORD` as an operator types it. */
  control(word: string): Promise<Ran> {
    return this.lab.gateway.run(glassquid, '-f', confPath, '-k', word)
  }

  /** Records of requests whose URI contains `part`, once there are `count`; fewer after the time is up. */
  about(part: string, count = 1, within: DurationMs = ms(5000)): Promise<readonly AccessRecord[]> {
    return soon(
      this.#waiting,
      () => {
        const found = this.records.filter(record => record.uri.includes(part))
        return found.length >= count ? found : null
      },
      within,
    ).then(found => found ?? this.records.filter(record => record.uri.includes(part)))
  }

  /** The first record that `holds`, or null when none comes. */
  record(holds: (record: AccessRecord) => boolean, within: DurationMs = ms(5000)): Promise<AccessRecord | null> {
    return soon(this.#waiting, () => this.records.find(holds) ?? null, within)
  }

  /** What cache.log holds so far. Lines of level 0 and 1 are written at once. */
  get cacheLog(): string {
    return readFileSync(join(this.lab.gateway.root, 'run/glassquid/cache.log'), 'utf8')
  }

  use(conf: string): void {
    writeConf(this.lab, conf)
  }
}

/** Where the confs of tests have session_log, and what stands there so far. It is written once a second. */
export const sessionLog = '/run/glassquid/sessions.log'

export const sessionsOf = (lab: Network): readonly Record<string, unknown>[] => {
  const path = join(lab.gateway.root, sessionLog)
  if (!existsSync(path)) return []
  return readFileSync(path, 'utf8').split('\n').filter(line => line !== '').map(line => JSON.parse(line))
}

/** The first record that has all of these, or null when none comes. */
export const sessionOf = async (lab: Network, wanted: Readonly<Record<string, unknown>>): Promise<Record<string, unknown> | null> => {
  const holds = (record: Record<string, unknown>) => Object.entries(wanted).every(([name, value]) => record[name] === value)
  for (let i = 0; i < 100; i++) {
    const found = sessionsOf(lab).find(holds)
    if (found !== undefined) return found
    await sleep(systemClock, ms(50))
  }
  return null
}

export const writeConf = (lab: Network, conf: string): void => writeFileSync(join(lab.gateway.root, confPath), conf)

export const applyRules = (lab: Network, ...words: readonly string[]): Promise<string> =>
  lab.gateway.must(glassquid, 'rules', ...words, '-f', confPath, '--apply')

const soon = <T>(waiting: Set<() => void>, find: () => T | null, within: DurationMs): Promise<T | null> =>
  new Promise(resolve => {
    const look = () => {
      const found = find()
      if (found === null) return
      end(found)
    }
    const end = (found: T | null) => {
      waiting.delete(look)
      deadline.cancel()
      resolve(found)
    }
    const deadline = systemClock.after(within, () => end(null))
    waiting.add(look)
    look()
  })

// --- what a process holds ---

/** Memory of its own, in bytes: neither shared pages nor files. */
export const anonymousBytes = (pid: number): number => {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1')
  return Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024
}

export const descriptorCount = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length

/** What a process started here may have: Node raises its soft limit to the hard one. */
export const descriptorLimit = (): number => Number(/^Max open files +\d+ +(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1] ?? 1024)

export const isAlive = (pid: number): boolean => {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'))
  } catch {
    return false
  }
}

/** The most a process held at any of the moments looked at while `during` ran. */
export const mostHeld = async (pid: number, during: Promise<unknown>): Promise<number> => {
  let most = anonymousBytes(pid)
  const sampler = setInterval(() => {
    most = Math.max(most, anonymousBytes(pid))
  }, 50)
  try {
    await during
  } finally {
    clearInterval(sampler)
  }
  return Math.max(most, anonymousBytes(pid))
}

export const mib = (bytes: number): string => `${(bytes / 1024 / 1024).toFixed(1)} MiB`

// --- what a client says and gets ---

export interface Got {
  /** curl's exit code. */
  readonly code: number | null
  readonly status: number
  readonly fields: ReadonlyMap<string, string>
  readonly content: string
  readonly complaint: string
}

/** One request with curl on the client's machine. */
export const curl = async (lab: Network, ...args: readonly string[]): Promise<Got> =>
  gotFrom(await lab.client.run('curl', '-sS', '-i', '--max-time', '25', ...args))

const gotFrom = ({ code, stdout, stderr }: Ran): Got => {
  let head = ''
  let content = stdout
  // 1xx and proxies' own heads come before
  while (/^HTTP\/1\.[01] /.test(content) && (head === '' || /^HTTP\/1\.[01] 1|established/.test(head))) {
    const end = content.indexOf('\r\n\r\n')
    if (end < 0) break
    head = content.slice(0, end)
    content = content.slice(end + 4)
  }
  const [first = '', ...lines] = head.split('\r\n')
  return {
    code,
    status: Number(first.split(' ')[1] ?? 0),
    fields: new Map(lines.map(line => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()])),
    content,
    complaint: stderr,
  }
}

/** One request with wget; `-S` shows the head on standard error. */
export const wget = async (lab: Network, ...args: readonly string[]): Promise<Got> => {
  const { code, stdout, stderr } = await lab.client.run('wget', '-S', '-O', '-', '--tries=1', '--timeout=25', '--content-on-error', ...args)
  const lines = stderr.split('\n').map(line => line.trim())
  const at = lines.findLastIndex(line => /^HTTP\/1\.[01] /.test(line))
  const fields = lines.slice(at + 1).filter(line => /^[\w-]+: /.test(line))
  return {
    code,
    status: Number(lines[at]?.split(' ')[1] ?? 0),
    fields: new Map(fields.map(line => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 2)])),
    content: stdout,
    complaint: stderr,
  }
}

/** The lab's addresses by family, in the words of tests. */
export const families = [
  { family: 'IPv4', flag: '-4', ...pick('ipv4') },
  { family: 'IPv6', flag: '-6', ...pick('ipv6') },
] as const

function pick(family: 'ipv4' | 'ipv6') {
  const { client, gateway, gatewayWan, origin } = labAddresses
  return { client: client[family], gateway: gateway[family], gatewayWan: gatewayWan[family], origin: origin[family] }
}
