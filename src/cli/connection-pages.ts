import type { Comm, FdEntry } from '../../comm/index.ts'
import { type Clock, endpointText, type Outcome } from '../base/index.ts'
import { type Manager, type Page, refusedPage } from '../manager/index.ts'
import { currentRequest } from '../proxy/index.ts'
import type { NamedService, Session } from '../service/index.ts'

// What is going on at this moment, in Squid's form: requests in work, descriptors in use.

export interface ConnectionSources {
  readonly clock: Clock
  readonly comm: Comm
  readonly services: () => readonly NamedService[]
}

/** A page is for reading. */
const linesMax = 1000

export const registerConnections = (manager: Manager, sources: ConnectionSources): void => {
  manager.register(activeRequestsPage(sources))
  manager.register(descriptorsPage(sources.comm))
}

interface ActiveRequest {
  readonly session: string
  readonly descriptor: number
  readonly client: string
  readonly local: string
  readonly bytesRead: number
  readonly bytesWritten: number
  readonly method: string
  readonly uri: string
  readonly result: string
  readonly responseBytes: number
  readonly requestHeadBytes: number
  readonly startedAt: number
  readonly seconds: number
}

interface Active {
  readonly total: number
  readonly requests: readonly ActiveRequest[]
}

const activeRequestsPage = ({ clock, services }: ConnectionSources): Page<Active> => ({
  name: 'active_requests',
  doc: 'Client-side Active Requests (limit=N)',
  protection: 'public',
  effect: 'shows',
  answer(args) {
    const limit = Number(args.get('limit') ?? linesMax)
    if (!Number.isInteger(limit) || limit < 0) return refusedPage(400, 'limit is a number')
    const requests: ActiveRequest[] = []
    let total = 0
    for (const service of services()) {
      for (const session of service.sessions()) {
        const record = currentRequest(session.speaker)
        if (record === null) continue
        total++
        if (requests.length < limit) requests.push(activeOf(session, record, clock))
      }
    }
    return { ok: true, value: { total, requests } }
  },
  together: all => ({ total: all.reduce((sum, one) => sum + one.total, 0), requests: all.flatMap(one => one.requests) }),
  text: ({ total, requests }) =>
    requests
      .map(r =>
        [
          `Connection: ${r.session}`,
          `\tFD ${r.descriptor}, read ${r.bytesRead}, wrote ${r.bytesWritten}`,
          `\tFD desc: ${r.method} ${r.uri}`,
          `\tin: buf -, used 0, free 0`,
          `\tremote: ${r.client}`,
          `\tlocal: ${r.local}`,
          `\tnrequests: 1`,
          `uri ${r.uri}`,
          `logType ${r.result}`,
          `out.offset ${r.responseBytes}, out.size ${r.responseBytes}`,
          `req_sz ${r.requestHeadBytes}`,
          `entry -`,
          `start ${r.startedAt.toFixed(6)} (${r.seconds.toFixed(6)} seconds ago)`,
          `username -`,
          `delay_pool 0`,
          '',
          '',
        ].join('\n'),
      )
      .join('') + (requests.length < total ? `${total} requests, the first ${requests.length} of them\n` : ''),
})

const activeOf = (session: Session, record: Readonly<Outcome>, clock: Clock): ActiveRequest => ({
  session: session.id,
  descriptor: session.client.fd,
  client: endpointText(session.client.peer),
  local: endpointText(session.destination),
  bytesRead: session.client.bytesRead,
  bytesWritten: session.client.bytesWritten,
  method: record.method,
  uri: record.uri,
  result: record.result,
  responseBytes: record.responseBytes,
  requestHeadBytes: record.requestHeadBytes,
  startedAt: record.startedAt / 1000,
  seconds: (clock.mono() - record.startedMono) / 1000,
})

interface Descriptors {
  readonly max: number
  readonly entries: readonly FdEntry[]
}

const descriptorsPage = (comm: Comm): Page<Descriptors> => ({
  name: 'filedescriptors',
  doc: 'Process Filedescriptor Allocation',
  protection: 'public',
  effect: 'shows',
  answer: () => ({ ok: true, value: { max: comm.budget.fdMax, entries: [...comm.fdTable()].sort((a, b) => a.fd - b.fd) } }),
  text: ({ entries }) =>
    [
      'Active file descriptors:',
      'File Type   Tout Nread  * Nwrite * Remote Address        Description',
      '---- ------ ---- -------- -------- --------------------- ------------------------------',
      ...entries.map(
        e =>
          `${String(e.fd).padStart(4)} ${'Socket'.padEnd(6)} ${String(Math.ceil(e.deadlineMs / 1000)).padStart(4)} ${String(e.bytesRead).padStart(7)}  ` +
          `${String(e.bytesWritten).padStart(7)}  ${endOf(e).padEnd(21)} ${e.note === '' ? e.kind : e.note}`,
      ),
      '',
    ].join('\n'),
})

const endOf = ({ peer, local }: FdEntry): string => (peer !== null ? endpointText(peer) : local !== null ? endpointText(local) : '')
