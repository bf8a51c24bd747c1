import { connect } from 'node:net'

// A client that says exactly the bytes it is told and then listens: node raw-client.ts HOST PORT, on standard input one
// JSON line: { "says": [TEXT, ...], "everyMs": N, "then": "listen" | "end" | "reset", "takes": true | false }
//
// Tells in one JSON line what came back and how it ended: end, reset, or refused. One that does not take reads nothing
// until the line `take` comes.

interface Wish {
  readonly says: readonly string[]
  readonly everyMs: number
  readonly then: 'listen' | 'end' | 'reset'
  readonly takes: boolean
}

const [host = '', port = ''] = process.argv.slice(2)
const chunks: Buffer[] = []
const started = performance.now()
let how = 'end'

const run = (wish: Wish): (() => void) => {
  const socket = connect({ host, port: Number(port), allowHalfOpen: true })
  socket.on('connect', async () => {
    for (const [at, text] of wish.says.entries()) {
      if (at > 0) await new Promise(resolve => setTimeout(resolve, wish.everyMs))
      if (socket.destroyed || how !== 'end') break
      socket.write(Buffer.from(text, 'latin1'))
    }
    if (wish.then === 'end') socket.end()
    if (wish.then === 'reset') socket.resetAndDestroy()
  })
  const take = () => void socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  if (wish.takes) take()
  socket.on('end', () => socket.end())
  socket.on('error', error => {
    how = 'code' in error && error.code === 'ECONNREFUSED' ? 'refused' : 'reset'
  })
  socket.on('close', () => {
    const got = Buffer.concat(chunks).toString('latin1')
    console.log(JSON.stringify({ how, got: got.slice(0, 4000), afterMs: Math.round(performance.now() - started) }))
    process.exit()
  })
  return take
}

let input = ''
let take: (() => void) | null = null
process.stdin.setEncoding('utf8').on('data', (text: string) => {
  input += text
  const [first = '', second, third] = input.split('\n')
  if (take === null && second !== undefined) take = run(JSON.parse(first) as Wish) // our own test's line
  if (third !== undefined) take?.()
})
