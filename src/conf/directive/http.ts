import { kib, mib } from '../../base/index.ts'
import { accessList, namedAccessList } from './access.ts'
import { addedFields, fieldTexts } from './fields.ts'
import { accepted, type Kind, later, works } from './directive.ts'
import { choice, count, kept, needWord, onOff, size, text, word, wordOrNone } from './kinds.ts'

/** A token: it stands in a field. */
const surrogateId: Kind<string> = {
  ...word('ID'),
  read(line) {
    const name = needWord(line, 'ID')
    if (name === undefined) return undefined
    if (/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name.text)) return name.text
    line.fatal(`${line.name}: '${name.text}' cannot stand in a field`, name, 'letters, digits, - and . can')
    return undefined
  },
}

/** '' = there is none. */
const domainWithDot: Kind<string> = {
  ...word('.DOMAIN'),
  limits: 'begins with a dot',
  read(line) {
    const name = needWord(line, '.DOMAIN')
    if (name === undefined) return undefined
    if (/^(?:\.[a-z0-9_-]{1,63})+$/i.test(name.text)) return name.text
    line.fatal(`${line.name}: expecting a domain that begins with a dot, got '${name.text}'`, name, /^[a-z0-9-]/i.test(name.text) ? `write .${name.text}` : '')
    return undefined
  },
}

export const httpDirectives = {
  visible_hostname: works(
    wordOrNone('NAME'),
    'The name in error pages, Via and Cache-Status. Without it: the name of the machine.',
    {
      example: 'visible_hostname proxy.example.org',
    },
  ),
  unique_hostname: works(
    wordOrNone('NAME'),
    'The name by which loops are told, where several proxies share a visible_hostname.',
  ),
  via: works(
    onOff(),
    `Adds Via to requests and responses, which is how proxies tell a loop. Intercepting ports keep loops out by other means as well.`,
    {
      default: 'on',
    },
  ),
  x_cache: works(
    onOff(),
    `Adds X-Cache (HIT or MISS from this proxy) and X-Cache-Lookup (was something stored) to responses, as Squid did up to
version 4. Cache-Status, which is always there, says why. Not a directive of Squid.`,
    { default: 'off' },
  ),
  forwarded_for: works(
    choice(['on', 'off', 'transparent', 'delete', 'truncate'], { enable: 'on', disable: 'off' }),
    `What becomes of X-Forwarded-For: on appends the client's address, off appends "unknown", transparent leaves the field
alone, delete removes it, truncate replaces all of it by the client's address.`,
    { default: 'on' },
  ),
  httpd_suppress_version_string: works(onOff(), 'Leaves the version out of error pages and fields.', {
    default: 'off',
  }),
  request_header_max_size: works(
    size({ min: kib(1), max: mib(16) }),
    'The largest head of a request. A longer one is refused (431, or 414 for the first line).',
    { default: '64 KB' },
  ),
  reply_header_max_size: works(
    size({ min: kib(1), max: mib(16) }),
    'The largest head of a response. A longer one is refused (502).',
    { default: '64 KB' },
  ),
  request_body_max_size: works(
    size({ unlimited: ['0', 'none'] }),
    'The largest content of a request. More is refused (413).',
    { default: '0 KB' },
  ),
  client_persistent_connections: works(onOff(), 'Keeps client connections open for further requests.', {
    default: 'on',
  }),
  server_persistent_connections: works(onOff(), 'Keeps origin connections open for further requests.', {
    default: 'on',
  }),
  half_closed_clients: works(
    onOff(),
    `A client that has closed its sending side still gets its response. With "off" it counts as gone.`,
    { default: 'off' },
  ),
  error_directory: works(
    wordOrNone('DIRECTORY'),
    `Error pages of your own: files ERR_... with Squid's %codes, shown to everybody whatever language he speaks. A page that
is not there is the built-in one, in English. Read at start and at reload.`,
  ),
  cache_mgr: works(word('MAIL'), 'The mail address shown in error pages.', { default: 'webmaster' }),
  relaxed_header_parser: works(
    choice(['on', 'warn', 'off']),
    `Heads are read strictly whatever this says: what two programs could read differently (a bare CR or LF, a folded line, a
blank before a colon, repeated lengths) is how one request is smuggled in another, and is refused. Empty lines in front of a
request are skipped. "warn" tells in cache_log of each head that is refused, whose it is and why.`,
    { default: 'on' },
  ),
  uri_whitespace: works(
    choice(['deny', 'strip', 'allow', 'encode', 'chop']),
    `What becomes of a request line with blanks in its URI. deny: it is refused (400). strip: they are left out. encode: they
become %20. chop: the URI ends at the first. allow: as encode, since nothing is sent that could be read two ways. (Squid's
default is strip; RFC 9112 3.2 would rather have it refused, since such a line may be made to pass a filter.)`,
    { default: 'deny', reload: 'new connections' },
  ),
  check_hostnames: works(
    onOff(),
    `Refuses (400) hosts with letters that host names do not have. What could be read in two ways is refused without it; left
are "~" and, with allow_underscore off, "_".`,
    { default: 'off' },
  ),
  allow_underscore: works(onOff(), 'With check_hostnames: "_" may stand in host names, as it does in some.', { default: 'on' }),
  client_request_buffer_max_size: works(
    size({ min: kib(32) }),
    'How much of the content of one request may wait here for its server. A client that sends faster is slowed down.',
    { default: '512 KB', reload: 'new connections' },
  ),
  request_header_access: works(
    namedAccessList('FIELD', 'fast'),
    `Which request fields are passed on. Rules of a field are those of its name; else those of "Other", for fields Squid has
no name for; else those of "All". If none of a field's lines matches, the OPPOSITE of its last line holds: "deny guests"
alone passes the field on for everybody else, "allow guests" alone removes it for everybody else. Host and what says where
a message ends (Content-Length, Transfer-Encoding, Connection) stay. peername and hier_code tell where it goes this time, also when it
is sent elsewhere after a failure (in Squid 5 peername matches nobody here).`,
    { example: 'request_header_access Referer deny all\nrequest_header_access X-Internal allow localnet' },
  ),
  reply_header_access: works(
    namedAccessList('FIELD', 'fast'),
    'Which response fields clients get, pages of our own included; as request_header_access. ACLs may look at the response.',
    { example: 'reply_header_access Server deny all' },
  ),
  request_header_replace: works(
    fieldTexts,
    'What a request field has instead of being removed. It needs a request_header_access that denies the field.',
    { aliases: ['header_replace'], example: 'request_header_access User-Agent deny all\nrequest_header_replace User-Agent Mozilla/5.0' },
  ),
  reply_header_replace: works(fieldTexts, 'What a response field has instead of being removed by reply_header_access.'),
  request_header_add: works(
    addedFields,
    `Adds a field to requests, behind the work of request_header_access. In quotes the text may hold blanks and the %codes of
logformat; without quotes it is taken as it stands. Where a code has no value it is "-".`,
    { example: 'request_header_add X-Client-Port "%>p" all' },
  ),
  reply_header_add: works(addedFields, 'Adds a field to responses; as request_header_add.', {
    example: 'reply_header_add X-Served-By "%la port %lp" all',
  }),
  persistent_connection_after_error: works(
    onOff(),
    'Keeps a client connection open after a response with a status of 400 or more. "off" is for clients that cannot cope.',
    { default: 'on' },
  ),
  server_pconn_for_nonretriable: works(
    accessList('fast'),
    `Which requests that could not be sent a second time (POST, streamed content) may use a kept connection, which the origin
may be closing just then. Others open one of their own.`,
    { default: 'deny all' },
  ),
  detect_broken_pconn: works(
    onOff(),
    `Some servers answer without a length, so that only the end of the connection is the end of the response, and then keep the
connection. With "on" such a response is taken for whole after ten seconds of silence (or read_timeout, if that is less): its
client has it then, and it is not stored, since nobody has said that this was all. (Squid 5 breaks it off.)`,
    { default: 'off' },
  ),
  forward_max_tries: works(count({ min: 1 }), 'How many servers are tried for one request, within forward_timeout.', { default: '25' }),
  connect_retries: works(count({ max: 10 }), 'How often one address is tried again, 50 milliseconds later, within connect_timeout.', {
    default: '0',
  }),
  retry_on_error: works(
    onOff(),
    `After 403, 500, 501, 502, 503 and 504 of a server, tries its next address, or the next cache_peer, if there is one and
the request has no content.`,
    { default: 'off' },
  ),
  http_upgrade_request_protocols: works(
    namedAccessList('PROTOCOL[/VERSION]|OTHER', 'fast'),
    `Which protocols of a request's Upgrade are offered to the server; names know case, a name without a version is for all of
them, OTHER for those that no line names. What may not be offered is left out, and a server that changes to something else is
refused. Without any line everything is offered but other versions of HTTP and TLS, so that WebSocket works (Squid offers
nothing then).`,
    { example: 'http_upgrade_request_protocols WebSocket allow all\nhttp_upgrade_request_protocols OTHER deny all' },
  ),
  request_body_delay_forward_size: works(
    size(),
    `So much of a request's content, or all of it, is awaited before its server is asked; 0: none. It never is more than half of
client_request_buffer_max_size. Lusca's.`,
    { default: '0 KB' },
  ),
  client_db: works(onOff(), 'Keeps figures per client address, of 10,000 at most, for the manager page client_list.', {
    default: 'on',
  }),
  eui_lookup: works(onOff(), "Looks up the client's hardware address, for arp and eui64 ACLs, when one asks. off: they match nobody.", { default: 'on' }),
  happy_eyeballs_connect_timeout: works(
    count({ max: 600_000 }),
    `How long, in milliseconds, an address may take to connect before the next one of the same server, if it is of the other
family, is tried beside it: for tunnels and relayed connections. Web requests take addresses in turn.`,
    { default: '250' },
  ),
  happy_eyeballs_connect_gap: works(
    count({ min: -1, max: 600_000 }),
    'The least time, in milliseconds, between two such tries of the whole process; -1: they may come as they will.',
    { default: '-1' },
  ),
  happy_eyeballs_connect_limit: works(
    count({ min: -1 }),
    'How many such tries a process may have under way; -1: any number, 0: none.',
    { default: '-1' },
  ),
  httpd_accel_surrogate_id: works(
    surrogateId,
    `By what name an accel port offers itself to its site (Surrogate-Capability), and which directives of Surrogate-Control are for
it: those without a name, and those with this one. Where they say no-store or max-age, Cache-Control and Expires are for
caches further on. max-age=600+60 is fresh for 600 seconds and may be used for 60 more while it is validated. Several
proxies may have one name. Without it: visible_hostname.`,
    { example: 'httpd_accel_surrogate_id edge' },
  ),
  http_accel_surrogate_remote: works(onOff(), 'An accel port is far from its site: no-store-remote in Surrogate-Control is for it, too.', {
    default: 'off',
  }),
  error_default_language: works(
    word('LANGUAGE'),
    'The language of error pages when Accept-Language names none that is there (en, de). Without it: en.',
    { example: 'error_default_language de' },
  ),
  error_log_languages: works(
    onOff(),
    'Tells in cache.log which languages clients would have liked error pages in, where none that they name is there.',
    { default: 'on' },
  ),
  err_page_stylesheet: works(
    wordOrNone('PATH'),
    'A file whose content is the style sheet of error pages (%l). Read at start and at reload. Without it: one of ours.',
  ),
  err_html_text: works(text('HTML'), 'HTML that pages of your own show where they have %L.'),
  email_err_data: works(
    onOff(),
    `Puts details of an error (page, time, the client's and the server's address, the request's head) into the mail link of
its page (%W), where the client can read them. Squid's default is on.`,
    { default: 'off' },
  ),
  icon_directory: later(word('DIRECTORY'), 'Icons of FTP listings.', { family: 'FTP' }),
  short_icon_urls: accepted(onOff(), 'Pages of our own need no icons: what they show is in them.', { default: 'on' }),
  global_internal_static: accepted(
    onOff(),
    'There are no static pages: a request for /squid-internal-static/ goes to its origin like any other, as with "off".',
    { default: 'on' },
  ),
  ftp_user: later(word('USER'), 'The password of anonymous FTP.', { default: 'Squid@', family: 'FTP' }),
  ftp_passive: later(onOff(), 'FTP data connections are opened by us.', { default: 'on', family: 'FTP' }),
  ftp_epsv_all: later(onOff(), 'Sends EPSV ALL.', { default: 'off', family: 'FTP' }),
  ftp_epsv: later(kept('on|off|allow|deny [[!]ACL ...]'), 'Uses EPSV.', { family: 'FTP' }),
  ftp_eprt: later(onOff(), 'Uses EPRT.', { default: 'on', family: 'FTP' }),
  ftp_sanitycheck: later(onOff(), 'Data connections must come from the FTP server.', { default: 'on', family: 'FTP' }),
  ftp_telnet_protocol: later(onOff(), 'Escapes telnet codes in FTP.', { default: 'on', family: 'FTP' }),
  mail_from: accepted(word('MAIL'), 'No mail is sent. Who watches a service hears of its end (systemd, a supervisor of containers).'),
  mail_program: accepted(text('COMMAND'), 'As mail_from.', { default: 'mail' }),
  append_domain: works(
    domainWithDot,
    `Put behind host names without a dot before anything is asked about them: ACLs, the cache and the origin see the whole
name. Not behind localhost and names of the proxy itself. Names of hosts_file without a dot can be had by the whole name.
See dns_defnames.`,
    { example: 'append_domain .example.org' },
  ),
}
