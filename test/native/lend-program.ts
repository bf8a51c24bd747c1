import { spawnSync } from 'node:child_process'
import { closeSync, constants, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createComm } from '../../comm/index.ts'
import { lend, native } from '../../native/index.ts'
import { systemClock } from '../../src/base/index.ts'
import { collectGarbage } from '../../src/cli/collect-garbage.ts'
import { connectPair, pattern } from '../support/comm-kit.ts'
import { Recorder } from '../support/recorder.ts'

// Run by lend-limits.test.ts in a process of its own: what the kernel lets a process, or a user, have of something is used
// up here. Says what it saw as one line of JSON.

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

await (process.argv[2] === 'blocks' ? manyBlocks() : fewPipePages())
