import { expect, test } from 'vitest'
import { capabilitiesFor } from '../../src/cli/privileges.ts'
import { parseConf, systemWorld } from '../../src/conf/index.ts'

// Guards what a proxy that was started as root keeps: nothing, unless a line of the conf needs it.

test.each([
  ['', {}],
  ['acl gold client_connection_mark 0x10', { CAP_NET_ADMIN: 'client_connection_mark ACLs' }],
  ['acl gold clientside_mark 0x10', { CAP_NET_ADMIN: 'client_connection_mark ACLs' }],
  ['tcp_outgoing_mark 0x10 all', { CAP_NET_ADMIN: 'tcp_outgoing_mark' }],
  ['mark_client_packet 0x10 all', { CAP_NET_ADMIN: 'mark_client_packet' }],
  ['mark_client_connection 0x10 all', { CAP_NET_ADMIN: 'mark_client_connection' }],
  ['qos_flows mark local-hit=0x10', { CAP_NET_ADMIN: 'qos_flows mark' }],
  ['qos_flows tos local-hit=0x10', {}],
])('%s', (line, capabilities) => {
  expect(Object.fromEntries(capabilitiesFor(parseConf({ file: 'x.conf', text: `http_port 3128\n${line}\n` }, systemWorld()).draft))).toEqual(capabilities)
})
