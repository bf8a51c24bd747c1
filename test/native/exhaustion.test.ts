import { spawn } from 'node:child_process'
import { once } from 'node:events'
import net from 'node:net'
import { describe, expect, it } from 'vitest'
import { noAddon } from './present.ts'

// A process that runs out of descriptors although its budget did not see it coming (files, libraries, other parts took
// them): accept fails, the listener waits, and everybody is served in the end.

const program = new URL('./exhausted-server.ts', import.meta.url).pathname

/** Connects and waits for what the server says; answers it. */
const served = async (port: number): Promise<string> => {
  const socket = net.connect(port, '127.0.0.1')
  let said = ''
  socket.on('data', bytes => {
    said += String(bytes)
  })
  await once(socket, 'end')
  socket.destroy()
  return said
}

describe.skipIf(noAddon !== null)(`exhaustion ${noAddon ?? ''}`, () => {
  it('EMFILE from accept is survived', async () => {
    const server = spawn('sh', ['-c', `ulimit -n 64; exec "${process.execPath}" "${program}"`])
    const exit = once(server, 'exit')
    let stderr = ''
    server.stderr.on('data', bytes => {
      stderr += String(bytes)
    })
    const lines: string[] = []
    let heard = Promise.withResolvers<void>()
    server.stdout.on('data', bytes => {
      lines.push(...String(bytes).trim().split('\n'))
      heard.resolve()
    })
    try {
      await heard.promise
      heard = Promise.withResolvers()
      const answers = await Promise.all(Array.from({ length: 100 }, () => served(Number(lines[0]))))
      expect(answers).toEqual(answers.map(() => 'served'))
      await heard.promise
      expect(JSON.parse(lines[1] ?? '')).toEqual({
        served: 100,
        failedAccepts: true,
        warnings: [expect.stringContaining('EMFILE')],
        connectErrno: 'EMFILE',
      })
      expect(stderr).toBe('')
      expect(await exit).toEqual([0, null])
    } finally {
      server.kill()
    }
  })
})
