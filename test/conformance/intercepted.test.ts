// The suite as somebody behind a gateway meets it: three machines, kernel rules, the daemon, real time. The client asks
// the origin's address and knows of no proxy, so the proxy's own record has to show that it was there.

import { describe, expect, it } from 'vitest'
import { Gateway, natPort } from '../support/gateway.ts'
import { labAddresses, noLabWith, withLab } from '../support/net-lab.ts'
import { judged } from './judged.ts'
import type { Result } from './suite.ts'

const cannot = noLabWith('nft')
const program = (name: string): string => new URL(`./${name}-program.ts`, import.meta.url).pathname

describe.skipIf(cannot !== null)(`the public cache suite, through NAT interception ${cannot ?? ''}`, () => {
  let records: Gateway['records'] = []

  judged(() =>
    withLab(async lab => {
      const address = labAddresses.origin.ipv4
      const origin = lab.origin.spawn(process.execPath, [program('origin'), address, String(natPort)])
      await origin.heard('listening')
      const gateway = await Gateway.open(lab)
      const said = await lab.client.must(process.execPath, program('client'), address, String(natPort))
      const results = JSON.parse(said) as Result[] // of our own program
      await gateway.about('/state/', results.length)
      records = gateway.records
      return results
    }),
  )

  it('was answered by the proxy', () => {
    expect(new Set(records.map(record => record.taken))).toEqual(new Set(['nat']))
    expect(records.filter(record => record.result.endsWith('HIT')).length).toBeGreaterThan(100)
  })
})
