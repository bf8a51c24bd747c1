import { once } from 'node:events'
import net from 'node:net'
import { COMM_REUSEADDR, CommError, createComm } from '../../comm/index.ts'
import { createNatLookup, type NatBackend, type OriginalDestination } from '../../comm/nat-lookup/index.ts'
import { ioctl, native } from '../../native/index.ts'
import { type Endpoint, endpoint, endpointText, systemClock } from '../../src/base/index.ts'

// Runs in a network namespace with NAT rules on its own output (see nat-lookup-kernel.test.ts). Each question is put
// twice: to the engine, which asks inside its batch, and to a look-up object over the addon's bare calls.
//
//   argv: listener address, target address, target port ... ; one line of JSON per triple

if (!native.present) throw new Error(native.why)
const { addon } = native
const comm = createComm({ engine: 'native', clock: systemClock })
const lookup = createNatLookup({
  backend: 'netfilter',
  isOwnEndpoint: comm.isOwnEndpoint,
  kernel: {
    ioctl: (fd, request, argument, pointers) => ioctl(addon, fd, request, argument, pointers),
    getsockopt: (fd, level, name, value) => addon.getOption(fd, level, name, value),
  },
})

const text = (answer: OriginalDestination): string => {
  switch (answer.kind) {
    case 'nat':
    case 'tproxy':
      return `${answer.kind} ${endpointText(answer.destination)}`
    case 'none':
      return `none ${answer.errno}`
    case 'broken':
      return `broken ${answer.why}`
    case 'direct':
      return 'direct'
  }
}

const ask = async (at: Endpoint, target: Endpoint, natBackend: NatBackend) => {
  const { promise, resolve } = Promise.withResolvers<unknown>()
  const options = { endpoint: at, flags: COMM_REUSEADDR, dualStack: at.address === '::', backlog: 16, natBackend, note: 'nat' }
  const listener = comm.listen(options, connection => {
    const { local, original } = connection
    resolve({
      engine: text(original),
      object: text(lookup.originalDestination(connection)),
      local: endpointText(local),
      proved: lookup.selfTest(listener).ok,
    })
    connection.close()
  })
  const client = net.connect(target.port, target.address)
  const answer = await promise
  listener.close()
  client.destroy()
  await once(client, 'close')
  return answer
}

const words = process.argv.slice(2)
const answers: Record<string, unknown> = {}
try {
  for (let i = 0; i + 2 < words.length; i += 3) {
    const target = endpoint(words[i + 1] ?? '', Number(words[i + 2]))
    answers[`${words[i]} ${endpointText(target)}`] = await ask(endpoint(words[i] ?? '', 3129), target, 'netfilter')
  }
  console.log(JSON.stringify(answers))
} catch (error) {
  console.error(error instanceof CommError ? error.message : error)
  process.exitCode = 1
}
comm.close()
