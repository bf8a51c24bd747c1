// Many connections to one place, told as JSON in the first word: {"host","port","count","atOnce","bytes"}, "holdMs" if each is
// to rest between its two halves of the content. Each sends so many bytes, its half ended, and reads to the end. One line at
// the end: how many ended how. `whole`: what came is what was sent; `bye`: the server ended first and nothing else came;
// `cut`: it ended before it was whole; else the code of the error.

import net from 'node:net'

const { host, port, count, atOnce, bytes, holdMs = 0 } = JSON.parse(process.argv[2] ?? '{}')
const ends: Record<string, number> = {}
let next = 0
let running = 0
let begun = 0

const contentOf = (number: number): Buffer => {
  const content = Buffer.alloc(bytes)
  for (let i = 0; i < bytes; i++) content[i] = (number * 31 + i * 7 + (i >> 8)) & 255
  return content
}

const finish = (how: string): void => {
  ends[how] = (ends[how] ?? 0) + 1
  running--
  more()
}

const one = (number: number): void => {
  const content = contentOf(number)
  const got: Buffer[] = []
  let over = false
  const end = (how: string): void => {
    if (over) return
    over = true
    socket.destroy()
    finish(how)
  }
  const socket = net.connect({ host, port, allowHalfOpen: true }, () => {
    if (++begun === atOnce) process.stdout.write('begun\n')
    const half = bytes >> 1
    if (holdMs === 0) return void socket.end(content)
    socket.write(content.subarray(0, half))
    setTimeout(() => over || socket.end(content.subarray(half)), holdMs)
  })
  socket.on('data', (piece: Buffer) => got.push(piece))
  socket.on('end', () => {
    const answer = Buffer.concat(got)
    if (answer.equals(content)) end('whole')
    else if (answer.toString() !== 'bye') end('cut')
    // the other half is ours to end, and the last byte is to arrive
    else if (socket.writableFinished) end('bye')
    else socket.on('finish', () => end('bye'))
  })
  socket.on('error', error => end('code' in error ? String(error.code) : error.message))
}

const more = (): void => {
  while (running < atOnce && next < count) {
    running++
    one(next++)
  }
  if (running === 0 && next === count) process.stdout.write(`${JSON.stringify(ends)}\n`, () => process.exit())
}

more()
