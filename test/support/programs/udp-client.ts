import dgram from 'node:dgram'

// udp-client.ts '{"sends": [{"to": "203.0.113.10", "port": 53, "text": "a", "bytes": 0, "times": 1}], "answers": 1}'
//
// Sends everything from one socket, back to back, and writes one line of JSON when so many answers have come or five
// seconds are over: what came, from whom, and its own port.

interface Send {
  readonly to: string
  readonly port: number
  readonly text?: string
  /** Filled up to so many. */
  readonly bytes?: number
  /** Each with its number behind the text. */
  readonly times?: number
}

interface Wish {
  readonly sends: readonly Send[]
  readonly answers: number
  readonly localPort?: number
  readonly waitMs?: number
}

const wish: Wish = JSON.parse(process.argv[2] ?? '')
const [first] = wish.sends
const socket = dgram.createSocket(first?.to.includes(':') ? 'udp6' : 'udp4')
const got: { text: string; bytes: number; from: string; port: number }[] = []

const end = (): void => {
  console.log(JSON.stringify({ localPort: socket.address().port, got }))
  process.exit()
}

socket.on('error', () => {})
socket.on('message', (content, { address, port }) => {
  got.push({ text: content.toString('latin1').slice(0, 40), bytes: content.length, from: address, port })
  if (got.length === wish.answers) end()
})

socket.bind(wish.localPort ?? 0, () => {
  socket.setRecvBufferSize(8 * 1024 * 1024)
  for (const { to, port, text = '', bytes, times = 1 } of wish.sends) {
    for (let i = 0; i < times; i++) {
      const content = times === 1 ? text : `${text}${i}`
      socket.send(Buffer.from(bytes === undefined ? content : content.padEnd(bytes, 'x'), 'latin1'), port, to)
    }
  }
  setTimeout(end, wish.waitMs ?? 5000)
})
