import { CommError, type Connection, createComm } from '../../comm/index.ts'
import { systemClock } from '../../src/base/index.ts'
import { connectOptions, listenOptions } from '../support/comm-kit.ts'
import { Recorder } from '../support/recorder.ts'

// Run by exhaustion.test.ts under a low descriptor limit, which its budget does not know. The clients that could be
// taken are kept until accepting has failed; then all are served and let go.

const clients = 100
const warnings: string[] = []
const comm = createComm({ engine: 'native', clock: systemClock, fdMax: 100_000, onWarning: text => warnings.push(text) })

const kept: Connection[] = []
const failed = Promise.withResolvers<void>()
const all = Promise.withResolvers<void>()
let letGo = false
let served = 0

const serve = (connection: Connection): void => {
  connection.write('served')
  connection.closeAfterFlush()
  if (++served === clients) all.resolve()
}

const { endpoint: at } = comm.listen(listenOptions({ backlog: 256 }), connection => {
  connection.setReader(new Recorder())
  if (letGo) serve(connection)
  else kept.push(connection)
})
console.log(at.port)

const waitForFailure = (): void => {
  if (comm.counters.acceptErrors > 0) failed.resolve()
  else setImmediate(waitForFailure)
}
waitForFailure()
await failed.promise

const connectErrno = await comm.connect(connectOptions(at), 1_000).then(
  () => 'none',
  (error: unknown) => (error instanceof CommError ? error.errno : String(error)),
)
letGo = true
for (const connection of kept.splice(0)) serve(connection)
await all.promise
console.log(JSON.stringify({ served, failedAccepts: comm.counters.acceptErrors > 0, warnings, connectErrno }))
comm.close()
