import http from 'node:http'
import net from 'node:net'
import { once } from 'node:events'
import type { Connection } from '../../comm/connection.ts'
import { systemClock } from '../../src/base/index.ts'
import { HttpClient } from '../../src/proxy/http/client.ts'
import { httpOrigin } from '../support/origin.ts'
import { startProxy } from '../support/proxy.ts'

// bin/nodex test/bench/one-hit.ts
//
// What one memory hit costs without the kernel: a client that has had its answer once is handed the bytes of the same
// request again and again, and what it writes goes nowhere. CPU time of this thread, the least of many rounds: that one
// hardly moves on a busy machine, where requests per second move by a third. Two thirds of a hit are the kernel's and not
// in this figure. Fields that were said before cost less than new ones, so that both are shown.

const perTurn = 8
const perRound = 20_000
const rounds = 60

const heads = {
  'curl-like head': ['User-Agent: curl/7.88.1', 'Accept: */*'],
  "a browser's head": [
    'Connection: keep-alive',
    'User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36',
    'Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8',
    'Accept-Encoding: gzip, deflate, br',
    'Accept-Language: en-US,en;q=0.9,de;q=0.8',
    'Referer: http://www.example.org/some/page/index.html',
    'Cookie: session=0123456789abcdef0123456789abcdef; theme=dark',
    'Upgrade-Insecure-Requests: 1',
  ],
} as const
/** Written over the end of the fields before each request, which then are new. */
const nonceBytes = 8

const origin = await httpOrigin((_request: http.IncomingMessage, response: http.ServerResponse) => {
  response.setHeader('Cache-Control', 'max-age=100000')
  response.setHeader('Content-Type', 'text/plain')
  response.setHeader('ETag', '"one"')
  response.end(Buffer.alloc(1000, 'x'))
})
const proxy = await startProxy('http_port 127.0.0.1:0 name=web accel allow-direct\nhttp_access allow all\n', 'auto', undefined, () => {})

/** The client object and its connection, once the request has been answered. */
const served = async (head: string): Promise<{ readonly client: HttpClient; readonly connection: Connection }> => {
  let found: { readonly client: HttpClient; readonly connection: Connection } | null = null
  const { onData } = HttpClient.prototype
  HttpClient.prototype.onData = function (connection, slab, start, end) {
    found = { client: this, connection }
    onData.call(this, connection, slab, start, end)
  }
  const socket = net.connect(proxy.port('web'), '127.0.0.1').resume()
  await once(socket, 'connect')
  for (let answered = 0; answered < 3; answered++) {
    socket.write(head, 'latin1')
    await once(socket, 'data')
  }
  HttpClient.prototype.onData = onData
  return found ?? Promise.reject(new Error('no client'))
}

/** As text, other bytes each time. */
const renew = (slab: Buffer, at: number, number: number): void => {
  for (let i = 0; i < nonceBytes; i++) slab[at + i] = 97 + ((number >> (3 * i)) & 7)
}

const trials = Object.entries(heads).flatMap(([name, lines]) => [
  { name, lines, isNew: false },
  { name: `${name}, no two alike`, lines: [...lines, `X-Id: ${'x'.repeat(nonceBytes)}`], isNew: true },
])

for (const { name, lines, isNew } of trials) {
  const head = `GET /object HTTP/1.1\r\nHost: 127.0.0.1:${origin.port}\r\n${lines.join('\r\n')}\r\n\r\n`
  const { client, connection } = await served(head)
  const slab = Buffer.from(head, 'latin1')
  client.write = () => true
  const round = (): void => {
    for (let i = 0; i < perRound; i++) {
      if (i % perTurn === 0) systemClock.hold()
      if (isNew) renew(slab, slab.length - 4 - nonceBytes, i)
      client.onData(connection, slab, 0, slab.length)
    }
    systemClock.release()
  }
  const micros: number[] = []
  for (let i = 0; i < rounds; i++) {
    const before = process.threadCpuUsage()
    round()
    const { user, system } = process.threadCpuUsage(before)
    micros.push((user + system) / perRound)
    await new Promise(setImmediate)
  }
  micros.sort((a, b) => a - b)
  console.log(`one memory hit, ${name}: ${micros[0]?.toFixed(2)} us (median ${micros[rounds >> 1]?.toFixed(2)})`)
}
process.exit(0)
