import { bad, type Check, good, notHere, unknown } from '../check.ts'
import type { Facts } from '../facts.ts'

// What only the running proxy knows: its counters since its start.

/** Fewer say nothing about a share. */
const connectionsMin = 100

const natElsewhere: Check = {
  id: 'D26',
  severity: 'warning',
  title: 'connections come with their destination',
  look(facts) {
    const { counters } = facts
    if (counters === null) return notAsked(facts)
    const all = counters.interceptedConnections
    if (all < connectionsMin) return good(`${all} intercepted connections so far`)
    if (counters.directHits * 20 < all) return good(`${counters.directHits} of ${all} connections were for this machine itself`)
    return bad(
      `${counters.directHits} of ${all} connections on interception ports were for this machine itself`,
      'where clients were going is lost: another router rewrites the destination before it comes here',
      'let that router route the packets here (policy routing), and rewrite nothing there',
    )
  },
}

const nameAgreement: Check = {
  id: 'D28',
  severity: 'warning',
  title: 'clients and proxy get the same answers from name servers',
  look(facts) {
    const { counters } = facts
    if (counters === null) return notAsked(facts)
    const all = counters.hostChecks
    if (all < connectionsMin) return good(`${all} Host fields checked so far`)
    if (counters.hostsUnconfirmed * 100 < all) return good(`${counters.hostsUnconfirmed} of ${all} Host fields did not fit their destination`)
    return bad(
      `${counters.hostsUnconfirmed} of ${all} Host fields did not fit their destination`,
      'these responses are not shared between clients under their name, and access by name is decided by address',
      'dns_nameservers: the same servers that clients are given (DHCP)',
    )
  },
}

const notAsked = (facts: Facts) => (facts.pid === null ? notHere('no proxy runs under this conf') : unknown('the running proxy did not tell its counters'))

export const runningChecks: readonly Check[] = [natElsewhere, nameAgreement]
