import { parentPort, workerData } from 'node:worker_threads'
import { COMM_NONBLOCKING, type Comm, type Connection, type ConnectionReader, createComm } from '../../comm/index.ts'
import { lend, native } from '../../native/index.ts'
import { endpoint, systemClock } from '../../src/base/index.ts'

// Run in a worker by workers.test.ts: brings connections into the state that `mode` names, and says so.

const { mode } = workerData as { mode: string }
const ready = (): void => parentPort?.postMessage('ready')

const quiet: ConnectionReader = {
  onData() {},
  onEnd: connection => connection.close(),
  onDrain() {},
  onTimeout() {},
  onClose() {},
}

const make = (): Comm =>
  createComm({
    engine: 'native',
    clock: systemClock,
    onFailure: error => {
      throw error // escapes into the native call: an uncaught exception of this worker
    },
  })

const pair = async (comm: Comm, onServer: (connection: Connection) => void): Promise<Connection> => {
  const accepted = Promise.withResolvers<void>()
  const listener = comm.listen(
    { endpoint: endpoint('127.0.0.1', 0), flags: COMM_NONBLOCKING, dualStack: false, backlog: 8, natBackend: 'none', note: 'worker' },
    connection => {
      onServer(connection)
      accepted.resolve()
    },
  )
  const client = await comm.connect({ target: listener.endpoint, flags: COMM_NONBLOCKING, note: 'worker' }, 10_000)
  client.setReader(quiet)
  await accepted.promise
  return client
}

const onData = (react: (connection: Connection) => void): ConnectionReader => ({ ...quiet, onData: react })

switch (mode) {
  case 'idle': {
    await pair(make(), server => server.setReader(quiet))
    ready()
    break
  }
  case 'busy-callback': {
    const client = await pair(make(), server =>
      server.setReader(
        onData(() => {
          ready()
          for (;;); // until terminated
        }),
      ),
    )
    client.write('x')
    break
  }
  case 'writing': {
    const comm = make()
    for (let i = 0; i < 20; i++) {
      const client = await pair(comm, server => server.deferRead())
      client.write(Buffer.alloc(8 * 1024 * 1024))
    }
    ready()
    break
  }
  case 'lending': {
    const comm = make()
    for (let i = 0; i < 20; i++) {
      const client = await pair(comm, server => server.deferRead())
      const memory = native.present ? lend(native.addon, 8 * 1024 * 1024) : null
      if (memory !== null) client.write(memory)
    }
    ready()
    break
  }
  case 'relaying': {
    const comm = make()
    let left: Connection | null = null
    const leftEnd = await pair(comm, server => {
      left = server
    })
    let farEnd: Connection | null = null
    const right = await pair(comm, server => {
      farEnd = server
    })
    if (left === null) break
    const relay = comm.relay(left, right, { idleTimeoutMs: 60_000, onRelayed() {} })
    ;(farEnd as Connection | null)?.deferRead()
    leftEnd.write(Buffer.alloc(16 * 1024 * 1024))
    // until nothing moves: the far socket is full, and so are the pipes
    for (let before = -1; relay.bytesToB === 0 || relay.bytesToB !== before; ) {
      before = relay.bytesToB
      for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
    }
    ready()
    break
  }
  case 'connecting': {
    const comm = make()
    const full = comm.listen(
      { endpoint: endpoint('127.0.0.1', 0), flags: COMM_NONBLOCKING, dualStack: false, backlog: 1, natBackend: 'none', note: 'full' },
      () => {},
    )
    full.pause()
    for (let i = 0; i < 10; i++) {
      void comm.connect({ target: full.endpoint, flags: COMM_NONBLOCKING, note: 'hangs' }, 60_000).catch(() => {})
    }
    ready()
    break
  }
  case 'closed-engine': {
    const comm = make()
    await pair(comm, server => server.setReader(quiet))
    comm.close()
    ready()
    setInterval(() => {}, 1000)
    break
  }
  case 'many-engines': {
    for (let i = 0; i < 30; i++) await pair(make(), server => server.setReader(quiet))
    ready()
    break
  }
  case 'exit-in-callback': {
    const client = await pair(make(), server => server.setReader(onData(() => process.exit(7))))
    parentPort?.once('message', () => client.write('x'))
    ready()
    break
  }
  case 'throw-in-callback': {
    const client = await pair(make(), server =>
      server.setReader(
        onData(() => {
          throw new Error('of the test')
        }),
      ),
    )
    parentPort?.once('message', () => client.write('x'))
    ready()
    break
  }
  case 'all-closed': {
    const comm = make()
    const client = await pair(comm, server => server.setReader(quiet))
    client.close()
    comm.close()
    break
  }
}
