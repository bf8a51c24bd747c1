import { bad, type Check, good, notHere, unknown } from '../check.ts'
import type { Facts } from '../facts.ts'

// Where PF or IPFilter take connections. On Linux nothing of this applies.

const ofPf: ReadonlySet<string> = new Set(['freebsd', 'openbsd', 'netbsd', 'darwin'])
const ofIpf: ReadonlySet<string> = new Set(['sunos'])

const lookup = (facts: Facts, device: string) => {
  const why = facts.probe.natLookup()
  if (why === '') return good(`${device} answers as it should`)
  return bad(`${device}: ${why}`, 'where connections were going cannot be looked up: every request is refused', `give the proxy's user read access to ${device}`)
}

const pfLookup: Check = {
  id: 'D35',
  severity: 'fatal',
  title: 'PF tells where connections were going',
  look: facts => (ofPf.has(facts.platform) ? lookup(facts, '/dev/pf') : notHere(`no PF on ${facts.platform}`)),
}

const ipfLookup: Check = {
  id: 'D36',
  severity: 'fatal',
  title: 'IPFilter tells where connections were going',
  look: facts => (ofIpf.has(facts.platform) ? lookup(facts, '/dev/ipnat') : notHere(`no IPFilter on ${facts.platform}`)),
}

const pfEnabled: Check = {
  id: 'D37',
  severity: 'warning',
  title: 'PF is on',
  look(facts) {
    if (!ofPf.has(facts.platform)) return notHere(`no PF on ${facts.platform}`)
    const info = facts.look.run('pfctl', '-s', 'info')
    if (info === null || info.code !== 0) return unknown('pfctl -s info did not answer (it needs root)')
    if (/^Status: Enabled/m.test(info.stdout)) return good('PF is enabled')
    return bad('PF is not enabled', 'nothing is redirected', 'pfctl -e')
  },
}

export const bsdChecks: readonly Check[] = [pfLookup, ipfLookup, pfEnabled]
