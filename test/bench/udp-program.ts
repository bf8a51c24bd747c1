import { createComm, type Connection, type ConnectionReader } from '../../comm/index.ts'
import { endpoint, systemClock } from '../../src/base/index.ts'

// Both ends of the UDP trials, on the other core than the subject.
//
//   udp-program.ts echo PORT                         sends back what comes
//   udp-program.ts ask HOST PORT FLOWS SECONDS NEW   64 bytes asked and answered, one question open per flow; with NEW = 1
//                                                    each question is asked from a socket of its own
//
// A question without an answer for a second is lost; the flow asks anew. Prints {"answered", "lost", "seconds"}.

const [what, ...words] = process.argv.slice(2)
const comm = createComm({ clock: systemClock, engine: 'native' })
const content = Buffer.alloc(64, 'q')

const echo = (port: number): void => {
  const quietMs = 3_600_000
  comm.receive(
    {
      endpoint: endpoint('0.0.0.0', port),
      flags: 0,
      dualStack: false,
      bufferBytes: 8 * 1024 * 1024,
      flowsMax: 1_000_000,
      flowsPerClientMax: 1_000_000,
      timesOf: () => ({ idleMs: quietMs, unansweredMs: quietMs, answeredMs: 1 }),
      note: 'echo',
    },
    flow => {
      flow.setReader({
        onData: (connection, slab, start, end) => void connection.write(slab.subarray(start, end)),
        onEnd() {}, onDrain() {}, onTimeout() {}, onClose() {},
      })
    },
  )
  console.log('ready')
}

const ask = async (host: string, port: number, flows: number, seconds: number, anew: boolean): Promise<void> => {
  let answered = 0
  let lost = 0
  let until = 0
  const askedAt = new Map<Connection, number>()

  const question = (connection: Connection): void => {
    askedAt.set(connection, performance.now())
    connection.write(content)
  }

  const reader: ConnectionReader = {
    onData(connection) {
      if (askedAt.get(connection) === undefined) return
      answered++
      if (performance.now() > until) return
      if (!anew) return question(connection)
      askedAt.delete(connection)
      connection.close()
      void open()
    },
    onEnd() {},
    onDrain() {},
    onTimeout() {},
    onClose(connection) {
      askedAt.delete(connection)
    },
  }

  const open = async (): Promise<void> => {
    const connection = await comm.connect({ target: endpoint(host, port), protocol: 'udp', flags: 0, note: 'ask' }, 1000)
    connection.setReader(reader)
    question(connection)
  }

  until = performance.now() + seconds * 1000
  for (let i = 0; i < flows; i++) await open()
  answered = 0
  const began = performance.now()
  until = began + seconds * 1000
  const watch = setInterval(() => {
    const now = performance.now()
    for (const [connection, at] of askedAt) {
      if (now - at < 1000) continue
      lost++
      question(connection)
    }
    if (now < until) return
    clearInterval(watch)
    console.log(JSON.stringify({ answered, lost, seconds: (now - began) / 1000 }))
    process.exit(0)
  }, 100)
}

if (what === 'echo') echo(Number(words[0]))
else await ask(words[0] ?? '', Number(words[1]), Number(words[2]), Number(words[3]), words[4] === '1')
