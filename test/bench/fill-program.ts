import { connect } from 'node:net'

// fill-program.ts HOST PREFIX COUNT CONNECTIONS PER_SECOND SECONDS: asks for PREFIX0, PREFIX1 … once each, over so many
// connections. PER_SECOND 0 = as fast as they come; SECONDS ends it earlier. Says how many were answered with 200.

const [, , host = '', prefix = '', count = '0', connections = '50', perSecond = '0', seconds = '900'] = process.argv

const until = Date.now() + Number(seconds) * 1000
const begun = Date.now()
let asked = 0
let answered = 0
let wrong = 0
let open = 0

const mayAsk = (): boolean => Number(perSecond) === 0 || asked < ((Date.now() - begun) / 1000) * Number(perSecond)

const run = (): void => {
  open++
  let rest: Buffer = Buffer.alloc(0)
  let missing = -1
  const socket = connect(80, host, () => next())
  const next = (): void => {
    if (asked >= Number(count) || Date.now() > until) socket.end()
    else if (mayAsk()) socket.write(`GET ${prefix}${asked++} HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
    else setTimeout(next, 2)
  }
  socket.on('data', (chunk: Buffer) => {
    if (missing < 0) {
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
      const end = rest.indexOf('\r\n\r\n')
      if (end < 0) return
      const head = rest.toString('latin1', 0, end)
      if (!head.startsWith('HTTP/1.1 200')) wrong++
      missing = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1]) - (rest.length - end - 4)
      rest = Buffer.alloc(0)
    } else missing -= chunk.length
    if (missing > 0) return
    missing = -1
    answered++
    next()
  })
  socket.on('error', () => wrong++)
  socket.on('close', () => {
    if (--open === 0) console.log(`FILLED ${answered} ${wrong}`)
  })
}
for (let i = 0; i < Number(connections); i++) run()
