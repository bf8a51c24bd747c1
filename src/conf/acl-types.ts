// The types of `acl` lines, as far as the grammar needs to know them. What their values mean is compiled in the acl room.

export interface AclType {
  /** 'regex': words in which `\ ` is a blank, `-i` and `+i` in between. 'names': other ACLs. */
  readonly values: 'words' | 'regex' | 'names'
  /** Options that may stand before the values, besides `--`. */
  readonly flags: readonly string[]
  /** The first word is no value but this. */
  readonly argument?: string
  /** It matches without a value too. */
  readonly mayBeEmpty?: true
  /** Needs DNS or a helper: where only fast ACLs are looked at, it does not match. */
  readonly slow?: true
  /** The feature behind it is gone; it never matches. */
  readonly retired?: true
  /** Squid's former name. */
  readonly alias?: string
  readonly doc: string
}

const regex = ['-i', '+i'] as const

export const aclTypes: Readonly<Record<string, AclType>> = {
  'src': { values: 'words', flags: [], doc: "the client's address" },
  'dst': {
    values: 'words',
    flags: ['-n'],
    slow: true,
    doc: "the origin's address; the name of the request is looked up",
  },
  'src_zone': { values: 'words', flags: [], doc: "the client's zone, or one above it" },
  'dst_zone': { values: 'words', flags: [], slow: true, doc: "the zone of the origin's address, or one above it" },
  'localip': {
    values: 'words',
    flags: [],
    alias: 'myip',
    doc: "our end of the client's connection; intercepted: where it was going",
  },
  'arp': { values: 'words', flags: [], doc: "the client's Ethernet address" },
  'eui64': { values: 'words', flags: [], doc: "the client's EUI-64" },
  'srcdomain': { values: 'words', flags: [], slow: true, doc: "the client's name, by reverse look-up" },
  'dstdomain': { values: 'words', flags: ['-n'], doc: "the request's host; `.x.org` is x.org and all below it; a numeric host by its name too, if that leads back to it (-n: never), `none` if it has none" },
  'srcdom_regex': { values: 'regex', flags: regex, slow: true, doc: "the client's name" },
  'dstdom_regex': { values: 'regex', flags: [...regex, '-n'], doc: "the request's host; of a numeric one the name, as for dstdomain" },
  'port': { values: 'words', flags: [], doc: "the request's port; `80`, `1025-65535`" },
  'localport': { values: 'words', flags: [], alias: 'myport', doc: 'the port the client connected to' },
  'myportname': { values: 'words', flags: [], doc: 'the name= of the http_port that took the connection' },
  'method': { values: 'words', flags: [], doc: 'the request method' },
  'proto': { values: 'words', flags: [], doc: 'the scheme of the target URI' },
  'url_regex': { values: 'regex', flags: regex, doc: 'the whole target URI' },
  'urlpath_regex': { values: 'regex', flags: regex, doc: 'path and query of the target URI' },
  'urllogin': { values: 'regex', flags: regex, doc: 'the user part of the target URI' },
  'browser': { values: 'regex', flags: regex, doc: 'User-Agent' },
  'referer_regex': { values: 'regex', flags: regex, doc: 'Referer' },
  'req_header': { values: 'regex', flags: regex, argument: 'a field name', doc: 'a field of the request' },
  'rep_header': { values: 'regex', flags: regex, argument: 'a field name', doc: 'a field of the response' },
  'req_mime_type': { values: 'regex', flags: regex, doc: "the request's Content-Type" },
  'rep_mime_type': { values: 'regex', flags: regex, doc: "the response's Content-Type" },
  'http_status': { values: 'words', flags: [], doc: "the response's status; `200`, `400-403`, `500-`" },
  'time': { values: 'words', flags: [], doc: 'days SMTWHFAD and hh:mm-hh:mm, local time' },
  'maxconn': { values: 'words', flags: [], doc: 'the client has more than so many connections' },
  'max_user_ip': { values: 'words', flags: ['-s'], doc: 'the user comes from more than so many addresses' },
  'random': { values: 'words', flags: [], doc: 'by chance: 0.3, 1/3, 3:5' },
  'proxy_auth': {
    values: 'words',
    flags: ['-i', '+i'],
    slow: true,
    doc: 'the name of a user who has proved it; REQUIRED = any',
  },
  'proxy_auth_regex': { values: 'regex', flags: regex, slow: true, doc: 'the name of a user who has proved it' },
  'external': {
    values: 'words',
    flags: [],
    argument: 'an external_acl_type',
    mayBeEmpty: true,
    slow: true,
    doc: 'a helper program decides',
  },
  'ext_user': { values: 'words', flags: ['-i', '+i'], slow: true, doc: 'the user name an external helper gave' },
  'ext_user_regex': { values: 'regex', flags: regex, slow: true, doc: 'the user name an external helper gave' },
  'tag': { values: 'words', flags: [], doc: 'the tag an external helper gave' },
  'note': {
    values: 'words',
    flags: ['-m'],
    argument: 'a note name',
    mayBeEmpty: true,
    doc: 'an annotation of the transaction',
  },
  'annotate_transaction': { values: 'words', flags: [], doc: 'always matches; adds key=value to the transaction' },
  'annotate_client': { values: 'words', flags: [], doc: 'always matches; adds key=value to the client connection' },
  'has': { values: 'words', flags: [], doc: 'request, response or ALE is there' },
  'transaction_initiator': { values: 'words', flags: [], doc: 'client, peering, internal ...' },
  'peername': { values: 'words', flags: [], doc: 'the cache_peer chosen' },
  'peername_regex': { values: 'regex', flags: regex, doc: 'the cache_peer chosen' },
  'hier_code': { values: 'words', flags: [], doc: 'how the server was chosen' },
  'squid_error': { values: 'words', flags: [], doc: 'the error page about to be sent' },
  'adaptation_service': { values: 'words', flags: [], doc: 'an ICAP service of this name, or of the set or chain, has been shown the transaction so far' },
  'snmp_community': { values: 'words', flags: [], doc: 'the community of an SNMP request; cannot be used in a rule, there is no SNMP here' },
  'client_connection_mark': {
    values: 'words',
    flags: [],
    alias: 'clientside_mark',
    doc: "the mark netfilter tracks the client's connection with (ct mark): MARK or MARK/MASK; needs CAP_NET_ADMIN; unknown to access_log",
  },
  'connections_encrypted': { values: 'words', flags: [], mayBeEmpty: true, doc: 'every connection so far was TLS' },
  'at_step': { values: 'words', flags: [], doc: 'SslBump1, SslBump2, SslBump3' },
  'ssl::server_name': {
    values: 'words',
    flags: ['--client-requested', '--server-provided', '--consensus'],
    doc: 'the name of the TLS server',
  },
  'ssl::server_name_regex': {
    values: 'regex',
    flags: [...regex, '--client-requested', '--server-provided', '--consensus'],
    doc: 'the name of the TLS server',
  },
  'ssl_error': { values: 'words', flags: [], doc: "what is wrong with the server's certificate" },
  'server_cert_fingerprint': { values: 'words', flags: ['-sha1'], doc: "fingerprint of the server's certificate" },
  'user_cert': { values: 'words', flags: [], argument: 'an attribute', doc: "the client certificate's subject" },
  'ca_cert': { values: 'words', flags: [], argument: 'an attribute', doc: "the client certificate's issuer" },
  'any-of': { values: 'names', flags: [], doc: 'one of these ACLs matches' },
  'all-of': { values: 'names', flags: [], doc: 'all these ACLs match; several lines: one of the lines' },
  'ident': { values: 'words', flags: ['-i'], slow: true, retired: true, doc: 'RFC 1413' },
  'ident_regex': { values: 'regex', flags: regex, slow: true, retired: true, doc: 'RFC 1413' },
  'src_as': { values: 'words', flags: [], slow: true, retired: true, doc: "the client's autonomous system" },
  'dst_as': { values: 'words', flags: [], slow: true, retired: true, doc: "the origin's autonomous system" },
  'urlgroup': { values: 'words', flags: [], retired: true, doc: 'a word given by a Squid 2 redirector' },
}

/** Today's name of a type, or null if there is none of that name. */
export const aclTypeName = (word: string): string | null => {
  if (Object.hasOwn(aclTypes, word)) return word
  for (const name of Object.keys(aclTypes)) if (aclTypes[name]?.alias === word) return name
  return null
}

/** The ACLs that are there before the file is read. */
export const builtInAcls: readonly {
  readonly name: string
  readonly type: string
  readonly values: readonly string[]
}[] = [
  { name: 'all', type: 'src', values: ['all'] },
  { name: 'manager', type: 'url_regex', values: ['^[^:]+://[^/]+/squid-internal-mgr/'] },
  { name: 'localhost', type: 'src', values: ['127.0.0.1/32', '::1/128'] },
  { name: 'to_localhost', type: 'dst', values: ['127.0.0.0/8', '0.0.0.0/32', '::1/128', '::/128'] },
  { name: 'to_linklocal', type: 'dst', values: ['169.254.0.0/16', 'fe80::/10'] },
  { name: 'CONNECT', type: 'method', values: ['CONNECT'] },
  { name: 'ssl::certHasExpired', type: 'ssl_error', values: ['X509_V_ERR_CERT_HAS_EXPIRED'] },
  { name: 'ssl::certNotYetValid', type: 'ssl_error', values: ['X509_V_ERR_CERT_NOT_YET_VALID'] },
  { name: 'ssl::certDomainMismatch', type: 'ssl_error', values: ['SQUID_X509_V_ERR_DOMAIN_MISMATCH'] },
  {
    name: 'ssl::certUntrusted',
    type: 'ssl_error',
    values: [
      'X509_V_ERR_INVALID_CA',
      'X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN',
      'X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE',
      'X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT',
      'X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
      'X509_V_ERR_CERT_UNTRUSTED',
    ],
  },
  { name: 'ssl::certSelfSigned', type: 'ssl_error', values: ['X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT'] },
]
