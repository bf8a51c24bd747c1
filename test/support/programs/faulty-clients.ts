import { connect, type Socket } from 'node:net'

// Clients that do everything wrong, one after the other in many lines: node faulty-clients.ts COUNT LINES HOST:PORT ...
// (IPv6 addresses in brackets). Each connection goes to the next HOST:PORT and has the next fault; so every fault meets
// every door. On standard output, when all are over, one JSON line: how many got which status, and how many could not
// connect or hung.

const [countText = '', linesText = '', ...doors] = process.argv.slice(2)
const count = Number(countText)
/** A connection that lasts longer is counted as hung. */
const hungMs = 20_000

type Ending =
  | 'wait' // for the end, whatever comes before it
  | 'reset' // at once
  | 'end' // half closed, then wait
  | 'reset-later' // when the first bytes of an answer are here

interface Fault {
  readonly says: Buffer
  readonly ending: Ending
}

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1')
const request = (line: string, ...more: readonly string[]): Buffer =>
  bytes(`${line} HTTP/1.1\r\nHost: origin.lab:8080\r\n${more.map(field => `${field}\r\n`).join('')}\r\n`)
/** The same bytes each time: what differs between runs is only the order of events. */
const noise = (length: number): Buffer => {
  let state = 0x9e3779b9
  const next = () => (state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x297a2d39) & 0xff
  return Buffer.from(Array.from({ length }, next).map(byte => (byte === 10 ? 13 : byte)))
}
const url = 'http://origin.lab:8080'

const faults: readonly Fault[] = [
  { says: noise(2000), ending: 'wait' },
  { says: bytes(`\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03${'\x5a'.repeat(160)}`), ending: 'wait' },
  { says: bytes(`GET ${url}/half HTTP/1.1\r\nHost: ori`), ending: 'reset' },
  { says: bytes(`GET ${url}/half HTTP/1.1\r\nHost: ori`), ending: 'end' },
  { says: Buffer.alloc(0), ending: 'reset' },
  { says: Buffer.alloc(0), ending: 'end' },
  { says: request(`GET ${url}/silent?faulty`), ending: 'reset' },
  { says: Buffer.concat([request(`POST ${url}/silent?faulty`, 'Content-Length: 100000'), noise(3000)]), ending: 'reset' },
  { says: request(`GET ${url}/page?faulty`), ending: 'reset-later' },
  { says: bytes(`GET ${url}/ HTTP/1.1\r\nX: ${'x'.repeat(70_000)}`), ending: 'wait' },
  { says: request('CONNECT origin.lab:25'), ending: 'reset-later' },
  { says: Buffer.concat([request(`POST ${url}/page?faulty`, 'Transfer-Encoding: chunked'), bytes('5\r\nhello\r\nzz\r\n')]), ending: 'wait' },
  { says: Buffer.concat([request(`GET ${url}/page?faulty`), noise(500)]), ending: 'end' },
]

const tally = new Map<string, number>()
const add = (what: string): void => void tally.set(what, (tally.get(what) ?? 0) + 1)

const one = (nth: number): Promise<void> =>
  new Promise(resolve => {
    const door = /^\[?(.*?)\]?:(\d+)$/.exec(doors[nth % doors.length] ?? '')
    const fault = faults[Math.floor(nth / doors.length) % faults.length]
    if (door === null || fault === undefined) throw new Error('HOST:PORT is missing')
    const socket: Socket = connect({ host: door[1] ?? '', port: Number(door[2]), allowHalfOpen: true })
    const { says, ending } = fault
    let connected = false
    let first = true
    const hung = setTimeout(() => {
      add(`hung ${nth % doors.length} ${faults.indexOf(fault)}`)
      socket.destroy()
    }, hungMs)
    socket.on('connect', () => {
      connected = true
      if (says.length > 0) socket.write(says)
      // what was written goes out before the reset does
      if (ending === 'reset') setImmediate(() => socket.resetAndDestroy())
      if (ending === 'end') socket.end()
    })
    socket.on('data', (chunk: Buffer) => {
      if (first) add(/^HTTP\/1\.1 (\d{3}) /.exec(chunk.toString('latin1'))?.[1] ?? 'no HTTP')
      first = false
      if (ending === 'reset-later') socket.resetAndDestroy()
    })
    // leaving by reset: no TIME_WAIT holds the port, and there are many to come
    socket.on('end', () => socket.resetAndDestroy())
    socket.on('error', () => {
      if (!connected) add('not connected')
    })
    socket.on('close', () => {
      clearTimeout(hung)
      resolve()
    })
  })

let next = 0
const line = async (): Promise<void> => {
  while (next < count) await one(next++)
}

await Promise.all(Array.from({ length: Number(linesText) }, line))
console.log(JSON.stringify(Object.fromEntries([...tally].sort())))
