import { join } from 'node:path'
import { ms } from '../../src/base/index.ts'
import type { Namespace, Running } from '../../src/intercept/index.ts'

/** Opens `count` connections, sends one request on each, reads the answer and keeps them. */
const program = `
const net = require('node:net')
const [host, count] = [process.argv[1], Number(process.argv[2])]
const request = 'GET /1k HTTP/1.1\\r\\nHost: ' + host + '\\r\\n\\r\\n'
let answered = 0, opened = 0
const open = () => {
  if (opened++ >= count) return
  let seen = 0
  const socket = net.connect(80, host, () => socket.write(request))
  socket.on('data', chunk => {
    if (seen < 1024 && (seen += chunk.length) >= 1024 && ++answered) {
      if (answered === count) console.log('all held')
      open()
    }
  })
  socket.on('error', error => console.log('lost', error.code))
}
for (let i = 0; i < 100; i++) open()
`

const nodex = join(import.meta.dirname, '../../bin/nodex')

export const idleHolder = async (client: Namespace, host: string, count: number): Promise<Running> => {
  const holder = client.spawn('sh', ['-c', 'ulimit -n 65536; exec "$3" -e "$0" "$1" "$2"', program, host, String(count), nodex])
  await holder.heard('all held', ms(60_000))
  return holder
}
