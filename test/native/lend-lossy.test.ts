// On a network that loses packets: what is sent once more is sent from pages whose memory has been given back, and that
// others have written to since.

import { describe, expect, it } from 'vitest'
import { labAddresses, noLabWith, withLab } from '../support/net-lab.ts'
import { noAddon } from './present.ts'

const program = new URL('./lend-program.ts', import.meta.url).pathname
const why = noAddon ?? noLabWith('nft')
const connections = 6

describe.skipIf(why !== null)(`lent memory ${why ?? ''}`, () => {
  it('arrives as it was, though it is sent more than once', async () => {
    await withLab(async lab => {
      const lossy = 'table ip lossy { chain input { type filter hook input priority 0; numgen random mod 100 < 3 drop; }; }'
      await lab.client.must('sh', '-c', `nft '${lossy}'`)
      const address = labAddresses.gateway.ipv4
      const server = lab.gateway.spawn(process.execPath, [program, 'serve', address, String(connections)])
      const port = (await server.heard(/listening \d+(?=\n)/)).slice('listening '.length)
      const read = await lab.client.must(process.execPath, program, 'receive', address, port, String(connections))
      expect(JSON.parse(read)).toEqual(Array.from({ length: connections }, () => 'whole'))
      const sent = JSON.parse(await server.heard(/\{"lent".*\}/)) as { lent: number; sentAgain: number }
      expect(sent.lent).toBeGreaterThan(connections * 24 * 256 * 1024 * 0.8)
      expect(sent.sentAgain).toBeGreaterThan(100)
    })
  })
})
