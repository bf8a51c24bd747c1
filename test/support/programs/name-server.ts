// A name server on loopback for one name, given as the first word: answers A with the address of the second word, for one
// second. A line on standard input is the address from then on, which is said once it holds. Says {"port"} first.

import readline from 'node:readline'
import { startDnsServer } from '../dns-server.ts'

const [name = '', first = ''] = process.argv.slice(2)
let address = first
const server = await startDnsServer(({ name: asked, type }) =>
  asked !== name ? { rcode: 3 } : { records: type === 'A' ? [{ type: 'A', ttl: 1, address }] : [] })
process.stdout.write(`${JSON.stringify({ port: server.endpoint.port })}\n`)
for await (const line of readline.createInterface({ input: process.stdin })) {
  address = line
  process.stdout.write(`now ${line}\n`)
}
await server.close()
