import { spawnSync } from 'node:child_process'
import { closeSync, constants, openSync, readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { createComm } from '../../comm/index.ts'
import { lend, native } from '../../native/index.ts'
import { endpoint, systemClock } from '../../src/base/index.ts'
import { collectGarbage } from '../../src/cli/collect-garbage.ts'
import { connectPair, listenOptions, pattern } from '../support/comm-kit.ts'
import { Recorder } from '../support/recorder.ts'

// Run by lend-limits.test.ts and lend-lossy.test.ts in a process of its own: what the kernel lets a process, or a user, have
// of something is used up here, or it is on a machine of the lab. Says what it saw as one line of JSON.

if (!native.present) throw new Error(native.why)
const { addon } = native

const say = (seen: unknown): void => console.log(JSON.stringify(seen))

const mappings = (): number => readFileSync('/proc/self/maps', 'latin1').split('\n').length - 1

const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise(setImmediate)
}

/** As many blocks as there are, and then every second goes: each that is left is a mapping of its own. */
const manyBlocks = async (): Promise<void> => {
  const pageBytes = [4096, 16_384, 65_536].find(bytes => lend(addon, bytes) !== null) ?? 65_536
  const most = Number(readFileSync('/proc/sys/vm/max_map_count', 'latin1'))
  const blocks: (Buffer | null)[] = []
  for (;;) {
    const block = blocks.length > most ? null : lend(addon, pageBytes)
    if (block === null) break
    blocks.push(block)
  }
  const count = blocks.length
  for (let i = 0; i < count; i += 2) blocks[i] = null
  collectGarbage()
  await turns(10)
  const left = most - mappings()
  const again: Buffer[] = []
  while (again.length <= most) {
    const block = lend(addon, 2 * pageBytes) // too long for the holes
    if (block === null) break
    again.push(block)
  }
  const kept = blocks.reduce((sum, block) => sum + (block === null ? 0 : 1), 0) // named here, so that they stay until now
  say({ most, count, kept, left, again: again.length })
}

/** All pages of pipes that a user may have are another's. */
const fewPipePages = async (): Promise<void> => {
  const [folder = '', user] = process.argv.slice(3)
  const uid = Number(user)
  const soft = Number(readFileSync('/proc/sys/fs/pipe-user-pages-soft', 'latin1'))
  const names = Array.from({ length: Math.ceil(soft / 16) + 1 }, (_, i) => String(i))
  if (spawnSync('mkfifo', ['-m', '666', ...names], { cwd: folder }).status !== 0) throw new Error('no fifo')
  const fifos = names.map(name => join(folder, name))
  process.setgroups?.([])
  process.setgid?.(uid)
  process.setuid?.(uid)
  const held = fifos.map(name => openSync(name, constants.O_RDWR | constants.O_NONBLOCK))
  const comm = createComm({ engine: 'native', clock: systemClock, onFailure: error => say({ error: String(error) }), onWarning: () => {} })
  const content = pattern(100_000)
  let got = 0
  let whole = true
  const saw = new Recorder({
    onData(_, bytes) {
      for (let at = 0; at < bytes.length; ) {
        const from = got % content.length
        const piece = bytes.subarray(at, at + content.length - from)
        whole &&= piece.equals(content.subarray(from, from + piece.length))
        got += piece.length
        at += piece.length
      }
    },
  }, { keep: false })
  const { client, server } = await connectPair(comm, new Recorder(), saw)
  const memory = lend(addon, content.length)
  if (memory === null) throw new Error('no memory')
  memory.set(content)
  const send = async (): Promise<{ whole: boolean; lent: number }> => {
    const before = comm.counters.bytesLent
    client.write(memory)
    await saw.has(got + content.length)
    server.write('another turn')
    await turns(3)
    return { whole, lent: comm.counters.bytesLent - before }
  }
  const first = await send()
  for (const fd of held) closeSync(fd)
  let later = await send()
  for (let i = 0; i < 1100 && later.whole && later.lent === 0; i++) later = await send()
  say({ first, later })
  comm.close()
}

const pieceBytes = 256 * 1024
const pieceCount = 24

/** Of the nth piece on a connection; no two words of all connections are the same. */
const pieceOf = (connection: number, nth: number): Buffer => {
  const words = new Uint32Array(pieceBytes / 4)
  const from = (connection * pieceCount + nth) * words.length
  for (let i = 0; i < words.length; i++) words[i] = Math.imul(from + i, 2_654_435_761)
  return Buffer.from(words.buffer)
}

/** How many segments this machine has sent once more. */
const sentAgain = (): number => {
  const [names = '', values = ''] = readFileSync('/proc/net/snmp', 'latin1').split('\n').filter(line => line.startsWith('Tcp:'))
  return Number(values.split(' ')[names.split(' ').indexOf('RetransSegs')])
}

/** Sends so many connections their pieces, each from memory that nobody here has from then on, and that others get. */
const serve = async (address: string, count: number): Promise<void> => {
  const comm = createComm({ engine: 'native', clock: systemClock, onFailure: error => say({ error: String(error) }), onWarning: () => {} })
  let open = 0
  let gone = 0
  const listener = comm.listen(listenOptions({ endpoint: endpoint(address, 0) }), connection => {
    const number = open++
    let nth = 0
    const more = (): void => {
      while (nth < pieceCount) {
        const memory = lend(addon, pieceBytes)
        if (memory === null) throw new Error('no memory')
        memory.set(pieceOf(number, nth++))
        if (!connection.write(memory)) return
      }
      connection.shutdownWrite()
    }
    const ended = (): void => {
      gone++
      connection.close()
    }
    connection.setReader(new Recorder({ onDrain: more, onEnd: ended }))
    const name = Buffer.alloc(4)
    name.writeUInt32LE(number)
    connection.write(name)
    more()
  })
  console.log(`listening ${listener.endpoint.port}`)
  while (gone < count) {
    collectGarbage()
    for (let i = 0; i < 40; i++) lend(addon, pieceBytes)?.fill(0xff)
    await turns(20)
  }
  say({ lent: comm.counters.bytesLent, sentAgain: sentAgain() })
  comm.close()
}

/** Reads them all: every second one when the others have been read. */
const receive = async (address: string, port: number, count: number): Promise<void> => {
  const read = async (socket: Socket, others: Promise<unknown>): Promise<string> => {
    await others
    const chunks: Buffer[] = []
    for await (const chunk of socket) chunks.push(chunk as Buffer)
    const all = Buffer.concat(chunks)
    const number = all.readUInt32LE(0)
    if (all.length !== 4 + pieceCount * pieceBytes) return `${all.length} bytes`
    for (let i = 0; i < pieceCount; i++) {
      const at = 4 + i * pieceBytes
      if (!all.subarray(at, at + pieceBytes).equals(pieceOf(number, i))) return `other bytes in piece ${i} of ${number}`
    }
    return 'whole'
  }
  const sockets = Array.from({ length: count }, () => connect(port, address).pause())
  const early = Promise.all(sockets.filter((_, nth) => nth % 2 === 0).map(socket => read(socket, Promise.resolve())))
  const late = Promise.all(sockets.filter((_, nth) => nth % 2 === 1).map(socket => read(socket, early)))
  say([...(await early), ...(await late)])
}

const [, , mode, ...words] = process.argv
if (mode === 'blocks') await manyBlocks()
else if (mode === 'pipes') await fewPipePages()
else if (mode === 'serve') await serve(words[0] ?? '', Number(words[1]))
else await receive(words[0] ?? '', Number(words[1]), Number(words[2]))
