import { connect, type Socket } from 'node:net'

// Many clients with one request each, who then say nothing: node idle-clients.ts URI [AT_ONCE]
//
//   open N      opens so many more, a hundred or AT_ONCE at a time; `open N` when each has its answer
//   leave       from now on each closes when it has its answer, and those who have it close now
//   close       `closed` when all are gone
//
// The addresses and the request are IPv4; whoever fails is told and counted.

const uri = new URL(process.argv[2] ?? '')
const request = `GET ${uri.pathname} HTTP/1.1\r\nHost: ${uri.host}\r\n\r\n`
const atOnce = Number(process.argv[3] ?? 100)
const sockets = new Set<Socket>()
const answered = new Set<Socket>()
let leaving = false
let served = 0

const openOne = (): Promise<void> =>
  new Promise(resolve => {
    const socket = connect({ host: uri.hostname, port: Number(uri.port || 80), family: 4 })
    let heard = ''
    socket.setEncoding('latin1')
    socket.on('connect', () => socket.write(request))
    socket.on('data', (text: string) => {
      heard = (heard + text).slice(0, 2000)
      // the answer is small and has a length: its head and its content come together or shortly after one another
      const length = /\r\ncontent-length: (\d+)\r\n/i.exec(heard)?.[1]
      const head = heard.indexOf('\r\n\r\n')
      if (length !== undefined && head >= 0 && heard.length >= head + 4 + Number(length)) {
        answered.add(socket)
        if (leaving) socket.end()
        resolve()
      }
    })
    socket.on('error', error => console.log(`error ${error.message}`))
    socket.on('close', () => {
      sockets.delete(socket)
      if (!answered.delete(socket)) console.log('error closed without an answer')
      resolve()
    })
    sockets.add(socket)
  })

const open = async (count: number): Promise<void> => {
  let left = count
  const before = served
  const opener = async () => {
    while (left-- > 0) {
      await openOne()
      served++
    }
  }
  await Promise.all(Array.from({ length: atOnce }, opener))
  console.log(`open ${served - before}`)
}

const close = async (): Promise<void> => {
  for (const socket of sockets) socket.destroy()
  while (sockets.size > 0) await new Promise(resolve => setTimeout(resolve, 5))
  console.log('closed')
}

const leave = (): void => {
  leaving = true
  for (const socket of answered) socket.end()
}

let work = Promise.resolve()
process.stdin.setEncoding('latin1').on('data', (text: string) => {
  for (const [word, count] of text.matchAll(/open (\d+)|leave|close/g)) {
    if (word === 'leave') leave()
    else work = work.then(() => (word === 'close' ? close() : open(Number(count))))
  }
})
console.log('ready')
