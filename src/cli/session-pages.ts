import { type Endpoint, endpointText } from '../base/index.ts'
import { type Manager, type Page, refusedPage } from '../manager/index.ts'
import type { NamedService, Session } from '../service/index.ts'

// The sessions of all services, for an operator to look at and to end.

interface SessionLine {
  readonly id: string
  readonly service: string
  readonly listener: string
  readonly rule: number | null
  readonly client: string
  readonly clientZone: string | null
  readonly destination: string
  readonly server: string | null
  readonly serverLocal: string | null
  readonly serverZone: string | null
  readonly bytesFromClient: number
  readonly bytesToClient: number
}

interface SessionsPage {
  readonly total: number
  /** The oldest of each service first. */
  readonly sessions: readonly SessionLine[]
}

/** A page is for reading. */
const linesMax = 1000

export const registerSessions = (manager: Manager, services: () => readonly NamedService[]): void => {
  manager.register(sessionsPage(services))
  manager.register(stopPage(services))
}

const sessionsPage = (services: () => readonly NamedService[]): Page<SessionsPage> => ({
  name: 'sessions',
  doc: 'Sessions of all services (service=NAME, client=ADDRESS, limit=N)',
  protection: 'protected',
  effect: 'shows',
  answer(args) {
    const [service, client] = [args.get('service')?.toLowerCase() ?? null, args.get('client')]
    const limit = Number(args.get('limit') ?? linesMax)
    if (!Number.isInteger(limit) || limit < 0) return refusedPage(400, 'limit is a number')
    const wanted = services().filter(one => service === null || one.name.toLowerCase() === service)
    const sessions: SessionLine[] = []
    let total = 0
    for (const one of wanted) {
      for (const session of one.sessions()) {
        if (client !== null && session.client.peer.address !== client) continue
        total++
        if (sessions.length < limit) sessions.push(lineOf(session))
      }
    }
    return { ok: true, value: { total, sessions } }
  },
  together: all => ({ total: all.reduce((sum, one) => sum + one.total, 0), sessions: all.flatMap(({ sessions }) => sessions) }),
  text: ({ total, sessions }) =>
    `${[
      `Sessions: ${total}${sessions.length < total ? `, the first ${sessions.length} of them` : ''}`,
      ...sessions.map(
        line =>
          `${line.id} ${line.client} > ${line.destination} > ${line.server ?? '-'} from ${line.serverLocal ?? '-'} bytes ${line.bytesFromClient}/${line.bytesToClient}` +
          ` rule ${line.rule ?? '-'} zones ${line.clientZone ?? '-'}/${line.serverZone ?? '-'}`,
      ),
    ].join('\n')}\n`,
})

const lineOf = (session: Session): SessionLine => {
  const moved = session.speaker?.moved?.() ?? null
  return {
    id: session.id,
    service: session.service.name,
    listener: session.portName,
    rule: session.rule,
    client: endpointText(session.client.peer),
    clientZone: session.clientZone,
    destination: endpointText(session.destination),
    server: textOf(session.server),
    serverLocal: textOf(session.serverLocal),
    serverZone: session.serverZone,
    bytesFromClient: moved?.fromClient ?? session.client.bytesRead,
    bytesToClient: moved?.toClient ?? session.client.bytesWritten,
  }
}

const textOf = (end: Endpoint | null): string | null => (end === null ? null : endpointText(end))

const stopPage = (services: () => readonly NamedService[]): Page<string> => ({
  name: 'stop_session',
  doc: 'Ends a session (id=svc/NAME:NUMBER), or one of its connections (NUMBER+PLACE)',
  protection: 'protected',
  effect: 'changes',
  answer(args) {
    const id = args.get('id') ?? ''
    if (!/^svc\/.+:\d+(?:\+\d+)?$/.test(id)) return refusedPage(400, `'${id}': write id=svc/NAME:NUMBER, as the page sessions shows it`)
    let ended = 0
    for (const service of services()) {
      for (const session of service.sessions()) {
        // a session ends with the connections it has taken beside its first
        if (session.id !== id && !session.id.startsWith(`${id}+`)) continue
        service.stop(session)
        ended++
      }
    }
    return ended > 0 ? { ok: true, value: `${id} is ended` } : refusedPage(404, `there is no session ${id}`)
  },
  // a session is one worker's; the others have none of that name
  together: ([said]) => said ?? '',
  text: said => `${said}\n`,
})
