import { describe, expect, it } from 'vitest'
import { type Connection, createComm } from '../../comm/index.ts'
import { OwnConnections } from '../../comm/own-connections.ts'
import { COMM_TPROXY_REM } from '../../comm/engine/engine.ts'
import { native } from '../../native/index.ts'
import { endpoint, systemClock } from '../../src/base/index.ts'
import { Recorder } from '../support/recorder.ts'

// A connection of ours that a kernel rule brings back to us is known by its two ends. On loopback every connection to a
// listener of ours is such a one; what no rule is needed for is shown here, the rule in test/scenario/gateway.test.ts.

const engines = native.present ? (['native', 'node'] as const) : (['node'] as const)

describe.each(engines)('our own connections, %s engine', engine => {
  it('are known by their ends as seen at the other side, until they are closed', async () => {
    const comm = createComm({ clock: systemClock, engine })
    try {
      const accepted = Promise.withResolvers<Connection>()
      const listening = { endpoint: endpoint('127.0.0.1', 0), flags: 0, dualStack: false, backlog: 16, natBackend: 'none', note: '' } as const
      const { endpoint: target } = comm.listen(listening, connection => {
        connection.setReader(new Recorder())
        accepted.resolve(connection)
      })
      const ours = await comm.connect({ target, flags: 0, note: '' }, 5000)
      const reader = new Recorder()
      ours.setReader(reader)
      const seen = await accepted.promise
      expect(comm.isOwnConnection(seen.peer, seen.local)).toBe(true)
      expect(comm.isOwnConnection({ ...seen.peer, port: seen.peer.port ^ 1 }, seen.local)).toBe(false)
      expect(comm.isOwnConnection(seen.peer, { ...seen.local, address: '127.0.0.2' })).toBe(false)
      ours.close()
      await reader.closed()
      expect(comm.isOwnConnection(seen.peer, seen.local)).toBe(false)
    } finally {
      comm.close()
    }
  })
})

describe('forged connections', () => {
  it('are not ours: their ends may be those of the client’s own', () => {
    const own = new OwnConnections(() => true)
    const done = () => {}
    expect(own.watching({ target: endpoint('192.0.2.1', 80), flags: COMM_TPROXY_REM, note: '' }, done)).toBe(done)
    expect(own.watching({ target: endpoint('192.0.2.1', 80), flags: 0, note: '' }, done)).not.toBe(done)
    expect(own.size).toBe(0)
  })
})
