import { readFileSync } from 'node:fs'
import { createComm } from '../../comm/index.ts'
import { endpoint, systemClock } from '../../src/base/index.ts'
import { Recorder } from '../support/recorder.ts'

// Run by first-bytes.test.ts in a network namespace of its own: how many TCP segments twenty questions cost, each on a
// connection of its own, with and without writesFirst.

const comm = createComm({ engine: 'native', clock: systemClock })
const listener = comm.listen(
  { endpoint: endpoint('127.0.0.1', 0), flags: 0, dualStack: false, backlog: 64, natBackend: 'none', note: 'asked' },
  connection => connection.setReader(new Recorder({ onData: () => connection.resetClose('done') })),
)

const segmentsSent = (): number => {
  const [names = '', values = ''] = readFileSync('/proc/net/snmp', 'utf8').split('\n').filter(line => line.startsWith('Tcp:'))
  return Number(values.split(' ')[names.split(' ').indexOf('OutSegs')])
}

const ask = (writesFirst: boolean): Promise<void> =>
  new Promise((resolve, reject) => {
    comm.dial({ target: listener.endpoint, flags: 0, note: 'asks', writesFirst }, 10_000, (error, connection) => {
      if (connection === null) return reject(error)
      connection.setReader(new Recorder({ onClose: () => resolve() }))
      connection.write('a question')
    })
  })

const costOf = async (writesFirst: boolean): Promise<number> => {
  const before = segmentsSent()
  for (let i = 0; i < 20; i++) await ask(writesFirst)
  return segmentsSent() - before
}

const plain = await costOf(false)
const first = await costOf(true)
console.log(JSON.stringify({ plain, first }))
comm.close()
