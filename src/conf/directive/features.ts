import { accessList, namedAccessList, valueList } from './access.ts'
import { later, works } from './directive.ts'
import { age, count, kept, needWord, onOff, size, text, word } from './kinds.ts'

// Directives of features that are still to come: peers, TLS, ICAP, SNMP. Their lines are read as far as their
// grammar is settled, so that a conf for them can be checked already.

export const peerDirectives = {
  cache_peer: later(
    kept('HOST parent|sibling|multicast PORT ICP-PORT [options]'),
    'Another proxy, or the origin behind an accel port.',
  ),
  cache_peer_access: later(namedAccessList('PEER', 'fast'), 'Which requests may go to a peer.'),
  neighbor_type_domain: later(kept('PEER parent|sibling DOMAIN ...'), 'What a peer is for some domains.'),
  always_direct: later(accessList('slow'), 'Which requests never go to a peer.'),
  never_direct: later(accessList('slow'), 'Which requests only go to peers.', { restricts: true }),
  nonhierarchical_direct: later(onOff(), 'Requests that peers cannot help with go direct.', { default: 'on' }),
  prefer_direct: later(onOff(), 'Tries the origin before the peers.', { default: 'off' }),
  icp_hit_stale: later(onOff(), 'Answers ICP with a hit for what is stale.', { default: 'off' }),
  minimum_direct_hops: later(count(), 'Origins this near are asked directly.', { default: '4' }),
  minimum_direct_rtt: later(count(), 'Origins this quick (milliseconds) are asked directly.', { default: '400' }),
  netdb_low: later(count(), 'Low water mark of measured distances.', { default: '900' }),
  netdb_high: later(count(), 'High water mark of measured distances.', { default: '1000' }),
  netdb_ping_period: later(age(), 'How often a distance is measured.', { default: '5 minutes' }),
  query_icmp: later(onOff(), 'Asks peers for their distances.', { default: 'off' }),
  test_reachability: later(onOff(), 'Answers ICP differently for what cannot be reached.', { default: 'off' }),
  log_icp_queries: later(onOff(), 'Logs ICP queries.', { default: 'on' }),
  udp_incoming_address: later(word('ADDRESS'), 'Where ICP and HTCP are listened to.', { default: 'any_addr' }),
  udp_outgoing_address: later(word('ADDRESS'), 'Where ICP and HTCP are sent from.', { default: 'no_addr' }),
  snmp_incoming_address: later(word('ADDRESS'), 'Where SNMP is listened to.', { default: 'any_addr' }),
  snmp_outgoing_address: later(word('ADDRESS'), 'Where SNMP is sent from.', { default: 'no_addr' }),
}

export const tlsDirectives = {
  tls_outgoing_options: later(
    kept('[cert=FILE] [cafile=FILE] [min-version=1.N] [options=...] ... | disable'),
    'TLS towards origins.',
    { default: 'min-version=1.0' },
  ),
  ssl_bump: later(
    valueList('ACTION', 'slow', line => needWord(line, 'an action')?.text),
    'What becomes of intercepted TLS: splice, peek, stare, bump, terminate.',
    { restricts: true },
  ),
  sslproxy_cert_error: later(accessList('fast'), 'Which certificate errors of origins are tolerated.'),
  sslcrtd_program: later(text('COMMAND'), 'A helper that makes certificates. They are made without one.'),
  sslcrtd_children: later(kept('N [startup=N] [idle=N]'), 'How many of these helpers run.', {
    default: '32 startup=5 idle=1',
  }),
  sslcrtvalidator_program: later(text('[ttl=N] [cache=N] COMMAND'), 'A helper that judges certificates.', {
    restricts: true,
  }),
  sslcrtvalidator_children: later(kept('N [startup=N] [idle=N] [concurrency=N]'), 'How many of these helpers run.', {
    default: '32 startup=5 idle=1 concurrency=1',
  }),
  sslproxy_session_ttl: later(count(), 'How long TLS sessions are kept, in seconds.', { default: '300' }),
  sslproxy_session_cache_size: later(size(), 'How much memory TLS sessions may take.', { default: '2 MB' }),
  sslproxy_foreign_intermediate_certs: later(word('FILE'), 'Intermediate certificates that origins forget to send.'),
  sslproxy_cert_sign_hash: later(word('HASH'), 'The hash of certificates we sign.'),
  sslproxy_cert_sign: later(
    valueList('METHOD', 'fast', line => needWord(line, 'a method')?.text),
    'How certificates are signed.',
  ),
  sslproxy_cert_adapt: later(
    valueList('ALGORITHM', 'fast', line => needWord(line, 'an algorithm')?.text),
    "How an origin's certificate is changed.",
  ),
  sslpassword_program: works(
    text('COMMAND'),
    'A program that says the passphrase of a key that has one: called by the shell, with the file, when the conf is read.',
  ),
  tls_key_log: later(
    kept('MODULE:PLACE [options] if [!]ACL ...'),
    'Writes the secrets of TLS sessions, to read captures with.',
  ),
}
