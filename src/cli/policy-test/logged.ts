import { canonicalAddress, endpoint, wallMs } from '../../base/index.ts'
import type { Question } from './question.ts'

// Lines of access logs as questions, with what was decided then.

export interface LoggedRequest {
  readonly question: Question
  readonly allowed: boolean
  /** `TCP_MISS/200`. */
  readonly result: string
}

/** Null: not a line of the formats squid, common or combined, or one without a request that could be decided. */
export const readLogged = (line: string): LoggedRequest | null => {
  const match = squidLine.exec(line)
  if (match !== null) {
    const [, seconds = '', client = '', result = '', method = '', uri = '', server = ''] = match
    return logged(client, Number(seconds) * 1000, method, uri, result, server, [])
  }
  const other = httpdLine.exec(line)
  if (other === null) return null
  const [, client = '', time = '', method = '', uri = '', status = '', referer = '', agent = '', result = ''] = other
  const fields = [...field('Referer', referer), ...field('User-Agent', agent)]
  return logged(client, httpdTime(time), method, uri, `${result}/${status}`, '', fields)
}

// seconds.millis elapsed client result/status bytes method uri user hierarchy/server type
const squidLine = /^(\d+\.\d+) +\S+ +(\S+) +([A-Z_]+\/\d+) +\S+ +(\S+) +(\S+) +\S+ +[A-Z_]+\/(\S+)/
// client - user [time] "METHOD uri HTTP/1.1" status bytes ["referer" "agent"] RESULT:HIERARCHY
const httpdLine =
  /^(\S+) \S+ \S+ \[([^\]]+)\] "(\S+) (\S+) [^"]*" (\d+) \S+(?: "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)")? ([A-Z_]+):[A-Z_]+/

const field = (name: string, value: string): string[] => (value === '' || value === '-' ? [] : [name, value])

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/** `20/Nov/2026:10:00:00 +0100`. */
const httpdTime = (text: string): number => {
  const match = /^(\d{2})\/(\w{3})\/(\d{4}):(\d{2}:\d{2}:\d{2}) ([+-]\d{2})(\d{2})$/.exec(text)
  if (match === null) return Number.NaN
  const [, day = '', month = '', year = '', clock = '', hours = '', minutes = ''] = match
  return Date.parse(`${year}-${String(months.indexOf(month) + 1).padStart(2, '0')}-${day}T${clock}${hours}:${minutes}`)
}

const logged = (
  clientText: string,
  time: number,
  method: string,
  uri: string,
  result: string,
  serverText: string,
  fields: readonly string[],
): LoggedRequest | null => {
  const client = canonicalAddress(clientText)
  if (client === null || Number.isNaN(time) || method === '-' || method === 'NONE' || uri.startsWith('error:')) return null
  const server = canonicalAddress(serverText)
  return {
    question: {
      client,
      method,
      uri,
      now: wallMs(time),
      destinations: server === null ? [] : [server],
      local: endpoint('127.0.0.1', 3128),
      portName: '3128',
      fields,
    },
    allowed: !result.startsWith('TCP_DENIED'),
    result,
  }
}
