import { randomBytes } from 'node:crypto'
import dgram from 'node:dgram'
import readline from 'node:readline'

// A name server at 127.0.0.1:53 that is as ill as it is told, a word a line on standard input, said when it holds:
//
//   well       every name has the address of the first word, and no IPv6 one, for a second
//   silent     not a word
//   refused, servfail     those answers
//   garbage    bytes that begin like an answer, or do not
//   late       the right answer, after 10 seconds

const [address = ''] = process.argv.slice(2)
let how = 'well'
const socket = dgram.createSocket('udp4')

const answer = (question: Buffer, rcode: number, withAddress: boolean): Buffer => {
  let end = 12
  while (end < question.length && question[end] !== 0) end += (question[end] ?? 0) + 1
  end += 5
  const head = Buffer.from(question.subarray(0, end))
  head.writeUInt16BE(0x8180 | rcode, 2)
  head.writeUInt16BE(1, 4)
  const isA = question.readUInt16BE(end - 4) === 1
  const has = withAddress && isA
  head.writeUInt16BE(has ? 1 : 0, 6)
  head.writeUInt32BE(0, 8)
  if (!has) return head
  const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, ...address.split('.').map(Number)])
  return Buffer.concat([head, record])
}

const garbage = (question: Buffer): Buffer => {
  const junk = randomBytes(20 + Math.floor(Math.random() * 400))
  if (junk.readUInt8(0) % 2 === 0) question.copy(junk, 0, 0, 2) // with the right number
  return junk
}

socket.on('message', (question, from) => {
  const say = (bytes: Buffer): void => socket.send(bytes, from.port, from.address)
  switch (how) {
    case 'well':
      return say(answer(question, 0, true))
    case 'refused':
      return say(answer(question, 5, false))
    case 'servfail':
      return say(answer(question, 2, false))
    case 'garbage':
      return say(garbage(question))
    case 'late':
      setTimeout(() => say(answer(question, 0, true)), 10_000)
  }
})
socket.bind(53, '127.0.0.1', () => process.stdout.write('listening\n'))
for await (const line of readline.createInterface({ input: process.stdin })) {
  how = line
  process.stdout.write(`now ${line}\n`)
}
socket.close()
