import { connect, type Socket } from 'node:net'

// Many clients with one request each, who then say nothing: node idle-clients.ts URI
//
//   open N      opens so many more, a few at a time; `open N` when each has its answer
//   close       `closed` when all are gone
//
// The addresses and the request are IPv4; whoever fails is told and counted.

const uri = new URL(process.argv[2] ?? '')
const request = `GET ${uri.pathname} HTTP/1.1\r\nHost: ${uri.host}\r\n\r\n`
const atOnce = 100
const sockets = new Set<Socket>()

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
      if (length !== undefined && head >= 0 && heard.length >= head + 4 + Number(length)) resolve()
    })
    socket.on('error', error => console.log(`error ${error.message}`))
    socket.on('close', () => {
      sockets.delete(socket)
      resolve()
    })
    sockets.add(socket)
  })

const open = async (count: number): Promise<void> => {
  let left = count
  const opener = async () => {
    while (left-- > 0) await openOne()
  }
  await Promise.all(Array.from({ length: atOnce }, opener))
  console.log(sockets.size === count ? `open ${count}` : `only ${sockets.size} of ${count} are open`)
}

const close = async (): Promise<void> => {
  for (const socket of sockets) socket.destroy()
  while (sockets.size > 0) await new Promise(resolve => setTimeout(resolve, 5))
  console.log('closed')
}

let work = Promise.resolve()
process.stdin.setEncoding('latin1').on('data', (text: string) => {
  for (const [, count] of text.matchAll(/open (\d+)|close/g)) work = work.then(() => (count === undefined ? close() : open(Number(count))))
})
console.log('ready')
