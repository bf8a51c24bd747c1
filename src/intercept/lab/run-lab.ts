import { join } from 'node:path'
import type { AccessRecord } from './access-record.ts'
import { home, labProgram } from './home.ts'
import { inNetwork, print, serving } from './in-network.ts'
import { judge } from './judge.ts'
import { Journal } from './journal.ts'
import type { Network } from './network.ts'
import type { Sight } from './origin-program.ts'
import type { Running } from './running.ts'
import { listenPorts, natPort, type Play, plays, tproxyPorts } from './script.ts'
import type { Stop } from './stop.ts'
import { tableHead, tableLine } from './table.ts'

// `glassquid lab`: the whole thing at work, on one machine, without root.
//
//   open the network ─► load the rules ─► start origin and proxy ─► ask, and compare what three places say ─► stay, or end
//
// The rules come from `glassquid rules`, the proxy is `glassquid -f conf/lab.conf`: the commands everybody uses.

/** Answers the exit code: 0 when every row was as it should be. */
export const runLab = ({ check }: { readonly check: boolean }): Promise<number> =>
  inNetwork(async (network, stopped) => {
    const lab = { ...(await stopped.or(start(network))), stopped }
    const wrong = await play(lab)
    print('', wrong === 0 ? `${plays.length} rows, all as they should be at client, proxy and origin.` : `${wrong} of ${plays.length} rows are wrong.`)
    if (!check) await stay(lab)
    return wrong === 0
  })

interface Stage {
  readonly network: Network
  readonly proxy: Running
  readonly journal: Journal
}

interface Lab extends Stage {
  readonly stopped: Stop
}

// --- setting up ---

const start = async (network: Network): Promise<Stage> => {
  const glassquid = join(home(), 'bin/glassquid')
  const conf = join(home(), 'conf/lab.conf')
  print(
    'client ──── gateway (rules, proxy) ──── origin, each in a network namespace of its own',
    '',
    `rules  glassquid ${rulesCommand(conf).join(' ')}`,
  )
  await network.gateway.must(glassquid, ...rulesCommand(conf))

  const origin = network.origin.spawn(process.execPath, [labProgram('origin-program'), String(tproxyPorts.open), String(natPort)])
  const proxy = network.gateway.spawn(glassquid, ['-f', conf])
  const journal = new Journal(proxy, origin)
  await Promise.all([origin.heard('origin ready'), serving(proxy)])
  return { network, proxy, journal }
}

const rulesCommand = (conf: string): string[] => [
  ...['rules', 'nft', '-f', conf, '--interface', 'lan', '--apply'],
  ...['--take', `${tproxyPorts.open},${tproxyPorts.closed}=${listenPorts.tproxy}`],
  ...['--take', `${natPort}=${listenPorts.intercept}`],
]

// --- asking ---

/** Answers how many rows are wrong. */
const play = async (lab: Lab): Promise<number> => {
  print(tableHead())
  let wrong = 0
  for (const [at, step] of plays.entries()) {
    const complaints = await playRow(lab, `row-${at + 1}`, step)
    if (complaints.length > 0) wrong++
    for (const complaint of complaints) print(`    ✗ ${complaint}`)
  }
  return wrong + (await lateSights(lab))
}

const playRow = async ({ network, journal, stopped }: Lab, row: string, step: Play): Promise<string[]> => {
  const words = ['-sS', '--max-time', '20', '-H', `X-Lab-Row: ${row}`, '-w', '\n%{http_code}', ...step.curl]
  const ran = await stopped.or(network.client.run('curl', ...words))
  const end = ran.stdout.lastIndexOf('\n')
  const got = { status: Number(ran.stdout.slice(end + 1)), content: ran.stdout.slice(0, end) }
  const record = await stopped.or(journal.recordOf(row))
  if (step.expect.originSaw !== null) await stopped.or(journal.sightOf(row))
  const sights = journal.sightsOf(row)
  const complaints = judge(step.expect, got, record, sights)
  if (record !== null) print(rowText(record, sights[0] ?? null, `${complaints.length === 0 ? '✓' : '✗'} ${step.what}`))
  else print(`${step.what}: ${ran.stderr.trim() || `status ${got.status}`}`)
  return complaints
}

/**
 * A request that should have been a hit could reach the origin just after its row was judged. The origin is one process
 * that tells in order: when it has told of a request made now, there is nothing older to come.
 */
const lateSights = async ({ network, journal, stopped }: Lab): Promise<number> => {
  await stopped.or(network.origin.run('curl', '-sS', '-o', '/dev/null', '-H', 'X-Lab-Row: last', 'http://localhost/'))
  await stopped.or(journal.sightOf('last'))
  let wrong = 0
  for (const [at, step] of plays.entries()) {
    const [sight] = step.expect.originSaw === null ? journal.sightsOf(`row-${at + 1}`) : []
    if (sight === undefined) continue
    wrong++
    print(`    ✗ row ${at + 1} (${step.what}): the origin was asked for ${sight.path} after all`)
  }
  return wrong
}

const rowText = (record: AccessRecord, sight: Sight | null, what: string): string =>
  tableLine({
    client: record.client,
    destination: record.destination === '' ? '' : ends(record.destination, record.destinationPort),
    taken: record.taken,
    originSaw: sight?.peer ?? '',
    result: `${record.result}/${String(record.status).padStart(3, '0')}`,
    bytes: String(record.bytes),
    ms: String(record.ms),
    what,
  })

const ends = (address: string, port: number): string => (address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`)

// --- staying ---

const stay = async ({ network, proxy, journal, stopped }: Lab): Promise<void> => {
  const enter = network.client.enter.join(' ')
  print(
    '',
    'The lab stays up and shows what you ask by hand. From another terminal, as the same user:',
    '',
    `  ${enter} curl http://origin.lab/`,
    `  ${enter} curl -6 -i http://origin.lab:${natPort}/fresh`,
    `  ${enter} sh        # on the client's machine; on the gateway's: -t ${network.gateway.pid}`,
    '',
    'Ctrl-C ends it, and nothing stays behind.',
    '',
    tableHead(),
  )
  journal.onByHand = record => void showByHand(record, journal)
  await stopped.or(proxy.exited)
  throw new Error(`the proxy ended:\n${proxy.said.slice(-2000)}`)
}

const showByHand = async (record: AccessRecord, journal: Journal): Promise<void> => {
  const path = pathOf(record.uri)
  const sight = record.serverLocal === '' || path === null ? null : await journal.sightAt(record.serverLocal, record.serverLocalPort, path)
  print(rowText(record, sight, `${record.method} ${record.uri}`))
}

const pathOf = (uri: string): string | null => (URL.canParse(uri) ? new URL(uri).pathname : null)
