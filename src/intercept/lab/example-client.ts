import { createSocket } from 'node:dgram'
import { connect } from 'node:net'

// One question of an example: TRANSPORT HOST PORT TEXT [OWN-ADDRESS]. What came back is printed as a JSON line, `got`, or
// `error` with the system's word; `silence` after three seconds.

const [transport = '', host = '', port = '', text = '', by = ''] = process.argv.slice(2)
const silentMsMax = 3000

const tell = (what: { readonly got: string } | { readonly error: string }): void => {
  process.stdout.write(`${JSON.stringify(what)}\n`)
  process.exit()
}
setTimeout(() => tell({ error: 'silence' }), silentMsMax)
const failed = (error: Error): void => tell({ error: 'code' in error ? String(error.code) : error.message })

if (transport === 'udp') {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4')
  // connected: an answer from elsewhere than was asked is none
  socket.once('error', failed).once('message', answer => tell({ got: answer.toString('latin1') }))
  const ask = () => socket.connect(Number(port), host, () => socket.send(`${text}\n`))
  if (by === '') ask()
  else socket.bind({ address: by }, ask)
} else {
  const question = transport === 'http' ? `GET /${text} HTTP/1.1\r\nHost: ${host.includes(':') ? `[${host}]` : host}\r\nConnection: close\r\n\r\n` : `${text}\n`
  const socket = connect({ host, port: Number(port), ...(by === '' ? {} : { localAddress: by }) }, () => socket.write(question))
  let got = ''
  socket.setEncoding('latin1').on('error', failed)
  socket.on('data', part => {
    got += part
  })
  socket.on('end', () => tell(got === '' ? { error: 'closed' } : { got }))
}
