// The network kit for tests: client, gateway and origin machines in namespaces of their own (see
// src/intercept/lab/network.ts for the drawing, names and addresses). Rootless; nothing is left behind.
//
//   describe.skipIf(noLab !== null)(`interception`, () => {
//     it('takes a connection', async () => {
//       await withLab(async lab => {
//         const origin = lab.origin.spawn(process.execPath, ['origin.ts'])
//         await origin.heard('listening')
//         const { code, stdout } = await lab.client.run('curl', '-sS', 'http://origin.lab/')
//       })
//     })
//   })

import { spawnSync } from 'node:child_process'
import { whyNoNetwork, withNetwork } from '../../src/intercept/index.ts'

export { labAddresses, labInterfaces, labNames, type Namespace, type Network, type Ran, type Running } from '../../src/intercept/index.ts'

export const withLab = withNetwork

/** Null, or why these tests cannot run here. Put it into the title of what is skipped, so that it is read. */
export const noLab: string | null = whyNoNetwork()
if (noLab !== null) console.warn(`SKIPPED, no lab: ${noLab}`)

/** The same for tests that also need these programs. */
export const noLabWith = (...programs: readonly string[]): string | null => {
  if (noLab !== null) return noLab
  const missing = programs.filter(program => spawnSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' }).status !== 0)
  if (missing.length === 0) return null
  console.warn(`SKIPPED, not installed: ${missing.join(', ')}`)
  return `needs ${missing.join(', ')}`
}
