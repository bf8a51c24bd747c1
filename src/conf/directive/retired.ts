import type { Line } from '../line.ts'
import type { Retired } from './directive.ts'

// Directives that a modern conf does not need. Thirty of a hundred real files hold some; none of that is an error.

const entry = (status: Retired['status'], doc: string, aliases: readonly string[] = []): Retired => ({
  status,
  doc,
  aliases,
})

const silent = (doc: string, aliases?: readonly string[]): Retired => entry('silent', doc, aliases)
const warned = (advice: string, aliases?: readonly string[]): Retired => entry('warned', advice, aliases)
const rejected = (hint: string): Retired => entry('rejected', hint)

const translated = (
  doc: string,
  translate: (line: Line) => readonly string[] | null,
  aliases: readonly string[] = [],
): Retired => ({
  status: 'translated',
  doc,
  aliases,
  translate,
})

/** `NAME rest` reads as `modern rest`. */
const asLine =
  (modern: string, rest: (words: string) => string = words => words) =>
  (line: Line): readonly string[] | null => {
    const words = line.rest().text
    if (words !== '') return [`${modern} ${rest(words)}`]
    line.fatal(`${line.name} needs a value`)
    return []
  }

const outgoingTls = (option: string): Retired =>
  translated(
    `tls_outgoing_options ${option}=...`,
    asLine('tls_outgoing_options', value => `${option}=${value}`),
  )

const onlyWhenOn =
  (modern: string) =>
  (line: Line): readonly string[] | null => {
    const word = line.next()
    return word?.text === 'on' ? [modern] : null
  }

const header = (line: Line): readonly string[] | null => {
  const words = line.rest().text
  return [`request_header_access ${words}`, `reply_header_access ${words}`]
}

/** It applied to every log; today each access_log has its own ACLs, and a `none` above ends logging. */
const logAccess = (line: Line): readonly string[] | null => {
  const action = line.next()
  const acls = line.rest().text
  if (action?.text === 'deny' && acls !== '') return [`access_log none ${acls}`]
  if (action?.text === 'allow' && /^all\b/i.test(acls)) return []
  line.fatal(`${line.name} cannot be translated`, null, 'write its ACLs behind access_log')
  return []
}

/** `PEER domain ... !domain ...` */
const peerDomain = (line: Line): readonly string[] | null => {
  const [peer, ...domains] = line.rest().text.split(/[ \t]+/)
  if (!peer || domains.length === 0) {
    line.fatal(`${line.name} needs a peer and domains`)
    return []
  }
  const without = domains.filter(d => d.startsWith('!')).map(d => d.slice(1))
  const within = domains.filter(d => !d.startsWith('!'))
  const name = `${line.name}/${peer}`
  return [
    ...(without.length > 0
      ? [`acl ${name}/not dstdomain ${without.join(' ')}`, `cache_peer_access ${peer} deny ${name}/not`]
      : []),
    ...(within.length > 0
      ? [`acl ${name} dstdomain ${within.join(' ')}`, `cache_peer_access ${peer} allow ${name}`]
      : []),
  ]
}

const zph = (line: Line): readonly string[] | null => {
  const value = line.rest().text
  if (line.name === 'zph_mode' || line.name === 'zph_option') return []
  return [`qos_flows tos ${line.name.slice(4)}-hit=${value}`]
}

const emulate = (line: Line): readonly string[] | null => {
  line.scope.commonByDefault = line.next()?.text === 'on'
  return line.scope.commonByDefault ? [] : null
}

export const retired: Readonly<Record<string, Retired>> = {
  // --- silent ---
  shared_memory_locking: silent('no shared memory segments'),
  hopeless_kid_revival_delay: silent('workers are started again with a growing delay'),
  ssl_unclean_shutdown: silent('a work-around for old browsers'),
  max_open_disk_fds: silent('no such limit'),
  diskd_program: silent('no disk helpers'),
  unlinkd_program: silent('no disk helpers'),
  store_avg_object_size: silent('sized a hash table'),
  store_objects_per_bucket: silent('sized a hash table'),
  mcast_groups: silent('multicast ICP'),
  mcast_icp_query_timeout: silent('multicast ICP'),
  incoming_udp_average: silent('tuned the event loop', ['incoming_icp_average']),
  incoming_tcp_average: silent('tuned the event loop', ['incoming_http_average']),
  incoming_dns_average: silent('tuned the event loop'),
  min_udp_poll_cnt: silent('tuned the event loop', ['min_icp_poll_cnt']),
  min_dns_poll_cnt: silent('tuned the event loop'),
  min_tcp_poll_cnt: silent('tuned the event loop', ['min_http_poll_cnt']),
  pipeline_prefetch: silent("a client's requests are answered one after the other; those that come early wait, 64 KB of them"),
  memory_pools: silent('memory is managed by the runtime'),
  memory_pools_limit: silent('memory is managed by the runtime'),
  as_whois_server: silent('no AS numbers'),
  high_page_fault_warning: silent("look at the host's own monitoring"),
  sleep_after_fork: silent('nothing is forked'),
  windows_ipaddrchangemonitor: silent('Windows only'),

  // --- warned ---
  broken_vary_encoding: warned('servers that sent a wrong Vary are gone: remove it'),
  cache_vary: warned('Vary is always honoured: remove it'),
  chroot: warned('the proxy keeps its root: systemd (RootDirectory=) or a container gives it another'),
  error_map: warned('use deny_info or error_directory'),
  external_refresh_check: warned('use refresh_pattern'),
  location_rewrite_program: warned('rewrite Location at the origin', [
    'location_rewrite_access',
    'location_rewrite_children',
    'location_rewrite_concurrency',
  ]),
  refresh_stale_hit: warned('use refresh_pattern ... stale-while-revalidate='),
  esi_parser: warned('there is no ESI'),
  announce_file: warned('the cache registry is gone: remove it'),
  announce_host: warned('the cache registry is gone: remove it'),
  announce_period: warned('the cache registry is gone: remove it'),
  announce_port: warned('the cache registry is gone: remove it'),
  request_entities: warned('content of GET and HEAD is always passed: remove it'),
  dns_v4_first: warned('IPv4 addresses are always tried first: remove it'),
  ie_refresh: warned('Internet Explorer 5 is gone: remove it'),
  hierarchy_stoplist: warned('use always_direct'),
  balance_on_multiple_ip: warned('addresses of a name are always used in turn: remove it'),
  chunked_request_body_max_size: warned('chunked requests are streamed: remove it'),
  dns_v4_fallback: warned('both families are always asked: remove it'),
  forward_log: warned('use a logformat'),
  ftp_list_width: warned('remove it'),
  ignore_expect_100: warned('Expect: 100-continue is handled: remove it'),
  log_fqdn: warned('use %>A in a logformat'),
  log_ip_on_direct: warned('use %<a or %<A in a logformat'),
  update_headers: warned('stored fields are always updated: remove it'),
  dns_testnames: warned('names are not tested at start: remove it'),
  extension_methods: warned('every method is known: remove it'),
  zero_buffers: warned('remove it'),
  incoming_rate: warned('remove it'),
  server_http11: warned('HTTP/1.1 is always spoken: remove it'),
  'upgrade_http0.9': warned('responses without a head are refused: remove it'),
  httpd_accel_no_pmtu_disc: warned('use http_port ... disable-pmtu-discovery='),
  wais_relay_host: warned('there is no WAIS'),
  wais_relay_port: warned('there is no WAIS'),
  ssl_engine: warned('configure OpenSSL itself'),
  wccp_router: warned('WCCP version 1 is gone: use wccp2_router'),
  wccp_version: warned('WCCP version 1 is gone: use wccp2_router'),
  wccp_address: warned('WCCP version 1 is gone: use wccp2_address'),
  icap_class: warned('use adaptation_service_set'),
  icap_access: warned('use adaptation_access'),
  ecap_enable: warned('there is no eCAP: use ICAP'),
  ecap_service: warned('there is no eCAP: use ICAP'),
  loadable_modules: warned('there is no eCAP: use ICAP'),
  mcast_miss_addr: warned('remove it'),
  mcast_miss_ttl: warned('remove it'),
  mcast_miss_port: warned('remove it'),
  mcast_miss_encode_key: warned('remove it'),
  cache_dns_program: warned('names are resolved by the proxy itself: remove it'),
  dns_children: warned('names are resolved by the proxy itself: remove it'),
  ident_lookup_access: warned('there is no ident: remove it'),
  ident_timeout: warned('there is no ident: remove it'),

  // --- translated ---
  cache_peer_domain: translated('cache_peer_access with a dstdomain ACL', peerDomain, ['cache_host_domain']),
  sslproxy_cafile: outgoingTls('cafile'),
  sslproxy_capath: outgoingTls('capath'),
  sslproxy_cipher: outgoingTls('cipher'),
  sslproxy_client_certificate: outgoingTls('cert'),
  sslproxy_client_key: outgoingTls('key'),
  sslproxy_flags: outgoingTls('flags'),
  sslproxy_options: outgoingTls('options'),
  sslproxy_version: outgoingTls('version'),
  log_access: translated('ACLs behind access_log', logAccess),
  log_icap: translated('icap_log', line => {
    line.rest()
    return []
  }),
  ignore_ims_on_miss: translated('cache_miss_revalidate off', onlyWhenOn('cache_miss_revalidate off')),
  emulate_httpd_log: translated('access_log ... common', emulate),
  maximum_single_addr_tries: translated('connect_retries', asLine('connect_retries')),
  referer_log: translated(
    'access_log ... referrer',
    asLine('access_log', path => `${path.split(/[ \t]/)[0]} referrer`),
    ['referrer_log'],
  ),
  useragent_log: translated(
    'access_log ... useragent',
    asLine('access_log', path => `${path.split(/[ \t]/)[0]} useragent`),
  ),
  url_rewrite_concurrency: translated(
    'url_rewrite_children ... concurrency=',
    asLine('url_rewrite_children', n => `20 concurrency=${n}`),
    ['redirect_concurrency'],
  ),
  storeurl_rewrite_concurrency: translated(
    'store_id_children ... concurrency=',
    asLine('store_id_children', n => `20 concurrency=${n}`),
  ),
  zph_local: translated('qos_flows tos', zph, ['zph_mode', 'zph_option', 'zph_parent', 'zph_sibling']),
  header_access: translated('request_header_access and reply_header_access', header),

  // --- rejected ---
  httpd_accel_host: rejected('write: http_port 80 intercept, or http_port 80 accel defaultsite=HOST'),
  httpd_accel_port: rejected('write: http_port 80 intercept, or http_port 80 accel vport=PORT'),
  httpd_accel_with_proxy: rejected('write an http_port line of its own for the forward proxy'),
  httpd_accel_uses_host_header: rejected('write: http_port 80 accel (vhost is implied), or http_port 80 intercept'),
  httpd_accel_single_host: rejected('write: http_port 80 accel no-vhost defaultsite=HOST'),
  authenticate_program: rejected('write: auth_param basic program ...'),
  anonymize_headers: rejected('write: request_header_access FIELD deny all'),
  http_anonymizer: rejected('write: request_header_access FIELD deny all'),
  inside_firewall: rejected('write: always_direct and never_direct'),
  local_domain: rejected('write: acl local dstdomain .DOMAIN, always_direct allow local'),
  firewall_ip: rejected('write: acl inside dst NETWORK, always_direct allow inside'),
  proxy_auth_realm: rejected('write: auth_param basic realm TEXT'),
  ident_lookup: rejected('there is no ident'),
  cache_stoplist: rejected('write: acl stop urlpath_regex ..., cache deny stop'),
  dns_nameserver: rejected('did you mean dns_nameservers?'),
}
