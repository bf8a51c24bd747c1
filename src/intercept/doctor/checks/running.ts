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
    const { connections, directHits } = counters
    if (connections < connectionsMin) return good(`${connections} connections so far`)
    if (directHits * 20 < connections) return good(`${directHits} of ${connections} connections were for an interception port itself`)
    return bad(
      `${directHits} of ${connections} connections were for an interception port itself`,
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
    const { requests, hostMismatches } = counters
    if (requests < connectionsMin) return good(`${requests} requests so far`)
    if (hostMismatches * 100 < requests) return good(`${hostMismatches} of ${requests} requests had a Host that did not fit their destination`)
    return bad(
      `${hostMismatches} of ${requests} requests had a Host that did not fit their destination`,
      'these responses are not shared between clients under their name, and access by name is decided by address',
      'dns_nameservers: the same servers that clients are given (DHCP)',
    )
  },
}

const notAsked = (facts: Facts) => (facts.pid === null ? notHere('no proxy runs under this conf') : unknown('the running proxy did not tell its counters'))

export const runningChecks: readonly Check[] = [natElsewhere, nameAgreement]
