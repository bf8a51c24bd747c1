import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type AccessRecord, parseAccessRecord } from './access-record.ts'
import type { Example, ExamplePlay, Machine, SessionLine } from './example.ts'
import type { Heard } from './example-server.ts'
import { home, labProgram } from './home.ts'
import { inNetwork, print, serving } from './in-network.ts'
import type { Network } from './network.ts'
import type { Running } from './running.ts'

// `glassquid lab EXAMPLE`: a conf of conf/examples on the lab's gateway, with servers and clients on both sides of it.
//
//   each play: ask ─► who answered, and whom did it see ─► when all are over and the proxy has ended: what did it log
//
// The proxy's log is looked at last, as a whole: a flow of datagrams is logged when it is over. Each play must stand there
// once, and nothing else may.

/** Answers the exit code: 0 when everything was as it should be. */
export const runExample = (example: Example, { check }: { readonly check: boolean }): Promise<number> =>
  inNetwork(async (network, stopped) => {
    const scene = await stopped.or(open(network, example))
    const complaints = await stopped.or(playAll(scene, example))
    if (!check && complaints.length === 0) await stopped.or(stay(scene, example))
    await scene.proxy.stop()
    complaints.push(...judgeLog(scene.records, example.plays), ...judgeSessions(scene.sessions, example.plays))
    for (const complaint of complaints) print(`    ✗ ${complaint}`)
    print('', complaints.length === 0 ? `${example.plays.length} rows, all as they should be at client, proxy and server.` : `${complaints.length} things are wrong.`)
    return complaints.length === 0
  })

interface Scene {
  readonly network: Network
  readonly proxy: Running
  readonly servers: Partial<Record<Machine, Running>>
  readonly records: AccessRecord[]
  readonly sessions: SessionLine[]
  readonly heard: Heard[]
}

const conf = '/run/glassquid/lab.conf'

/** The example as it stands, and beside it what the lab reads. */
const confText = (example: Example): string => `include ${join(home(), 'conf/examples', `${example.name}.conf`)}
logformat lab taken=%glass::taken client=%>a destination=%>la destinationPort=%>lp result=%Ss status=%>Hs bytes=%<st ms=%tr method=%rm uri=%>ru hierarchy=%Sh serverLocal=%<la serverLocalPort=%<lp
access_log stdio:/dev/stdout logformat=lab buffer-size=0
session_log stdio:/dev/stdout
cache_log /run/glassquid/cache.log
pid_filename /run/glassquid/glassquid.pid
visible_hostname lab.glassquid
shutdown_lifetime 1 second
hosts_file /etc/hosts
dns_nameservers 127.0.0.1
dns_timeout 2 seconds
`

const open = async (network: Network, example: Example): Promise<Scene> => {
  const machines = ['gateway', 'client', 'origin'] as const
  for (const machine of machines) {
    const script = example.setUp?.[machine]
    if (script !== undefined) await network[machine].script(script)
  }
  writeFileSync(join(network.gateway.root, conf), confText(example))
  const glassquid = join(home(), 'bin/glassquid')
  print(`${example.name}: ${example.title}`, '', `conf   conf/examples/${example.name}.conf`)
  if (example.rules !== null) {
    print(`rules  glassquid rules nft ${example.rules.join(' ')} --apply`)
    await network.gateway.must(glassquid, 'rules', 'nft', '-f', conf, ...example.rules, '--apply')
  }
  const servers: Partial<Record<Machine, Running>> = {}
  const heard: Heard[] = []
  for (const machine of machines) {
    const places = example.servers[machine]
    if (places === undefined) continue
    const server = network[machine].spawn(process.execPath, [labProgram('example-server'), ...places])
    server.onLine(line => void (line.startsWith('{') && heard.push(JSON.parse(line) as Heard))) // our own program's line
    await server.heard('servers ready')
    servers[machine] = server
  }
  const records: AccessRecord[] = []
  const sessions: SessionLine[] = []
  const proxy = network.gateway.spawn(glassquid, ['-f', conf])
  proxy.onLine(line => {
    const record = parseAccessRecord(line)
    if (record !== null) records.push(record)
    else if (line.startsWith('{"id"')) sessions.push(JSON.parse(line) as SessionLine) // our own daemon's line
  })
  await serving(proxy)
  return { network, proxy, servers, records, sessions, heard }
}

const playAll = async (scene: Scene, example: Example): Promise<string[]> => {
  const wrong: string[] = []
  for (const [at, play] of example.plays.entries()) {
    const complaints = await playOne(scene, play, `row-${at + 1}`)
    print(`${complaints.length === 0 ? '✓' : '✗'} ${play.what}`)
    wrong.push(...complaints.map(complaint => `${play.what}: ${complaint}`))
  }
  return wrong
}

const playOne = async ({ network, servers, heard }: Scene, play: ExamplePlay, row: string): Promise<string[]> => {
  if (play.before !== undefined) {
    servers[play.before.machine]?.tell(`${play.before.tell}\n`)
    await servers[play.before.machine]?.heard(`done ${play.before.tell}`)
  }
  const { transport, host, port, by = '' } = play.ask
  const said = await network[play.from].must(process.execPath, labProgram('example-client'), transport, host, String(port), row, by)
  const { got = '', error = '' } = JSON.parse(said) as { readonly got?: string; readonly error?: string }
  const seen = heard.filter(({ text }) => text === row)
  if (play.answers === null) {
    return [...(error === '' ? [`${play.from}: got '${got.trim()}', and should have been refused`] : []), ...seen.map(({ place }) => `${place}: was asked`)]
  }
  const wanted = `${play.answers} sees ${play.sees}`
  if (error !== '') return [`${play.from}: ${error}, instead of '${wanted}'`]
  const wrong = got.includes(`${wanted}\n`) ? [] : [`${play.from}: '${got.trim().split('\n').at(-1)}', instead of '${wanted}'`]
  if (seen.length !== 1) wrong.push(`${play.answers}: was asked ${seen.length} times`)
  return wrong
}

/** Each play that is to be there is there once, and nothing else is. */
export const judgeLog = (records: readonly AccessRecord[], plays: readonly Pick<ExamplePlay, 'what' | 'logged'>[]): string[] => {
  const left = [...records]
  const wrong: string[] = []
  for (const { what, logged } of plays) {
    if (logged === null) continue
    const at = left.findIndex(record => Object.entries(logged).every(([key, value]) => record[key as keyof AccessRecord] === value)) // keys of a Partial<AccessRecord>
    if (at < 0) wrong.push(`${what}: the proxy logged nothing like ${JSON.stringify(logged)}`)
    else left.splice(at, 1)
  }
  for (const record of left) wrong.push(`the proxy logged what nobody asked: ${JSON.stringify(record)}`)
  return wrong
}

/** Each play that is turned away is there, and nobody else was. */
export const judgeSessions = (sessions: readonly SessionLine[], plays: readonly Pick<ExamplePlay, 'what' | 'session'>[]): string[] => {
  const left = sessions.filter(({ verdict }) => verdict !== 'ACCEPTED')
  const wrong: string[] = []
  for (const { what, session } of plays) {
    if (session === undefined) continue
    const at = left.findIndex(line => Object.entries(session).every(([key, value]) => line[key as keyof SessionLine] === value)) // keys of a Partial<SessionLine>
    if (at < 0) wrong.push(`${what}: no session of the proxy's is like ${JSON.stringify(session)}`)
    else left.splice(at, 1)
  }
  for (const line of left) wrong.push(`a session was not accepted that should have been: ${JSON.stringify(line)}`)
  return wrong
}

const stay = async ({ network, proxy, records }: Scene, example: Example): Promise<void> => {
  const asked = records.length
  print(
    '',
    'The lab stays up. From another terminal, as the same user:',
    '',
    `  ${network.client.enter.join(' ')} sh        # the client's machine; the gateway's: -t ${network.gateway.pid}, the servers': -t ${network.origin.pid}`,
    '',
    `Servers: ${Object.values(example.servers).flat().join(' ')}`,
    'Ctrl-C ends it, and nothing stays behind. What the proxy logs:',
    '',
  )
  for (const record of records.slice(0, asked)) print(recordText(record))
  proxy.onLine(line => {
    const record = parseAccessRecord(line)
    if (record !== null) print(recordText(record))
  })
  await proxy.exited
}

const recordText = ({ client, destination, destinationPort, taken, result, serverLocal }: AccessRecord): string =>
  `${client} ─► ${destination}:${destinationPort} (${taken}) ${result}, in the name of ${serverLocal || '-'}`
