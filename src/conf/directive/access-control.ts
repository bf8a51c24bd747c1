import { writtenAcls } from '../acl-table.ts'
import type { AclDefinition, AddedField, ManagerPassword, RewriteLine } from '../config.ts'
import type { Line } from '../line.ts'
import { nearest } from '../nearest.ts'
import { accessList, readUses, valueList } from './access.ts'
import { denyInfoLines } from './deny-info.ts'
import { type Kind, later, works } from './directive.ts'
import { age, count, lines, needWord, onOff, size, words } from './kinds.ts'
import { readChoice } from './named.ts'

const aclLines: Kind<readonly AclDefinition[]> = {
  grammar: 'NAME TYPE [options] VALUE|"FILE" ...',
  limits: '',
  initial: [],
  read(line) {
    line.scope.acls.define(line)
    return line.scope.acls.definitions
  },
  write: value => writtenAcls(value),
}

const noteLines = lines('NAME VALUE|"VALUE" [[!]ACL ...]', (line): AddedField | undefined => {
  const at = line.at()
  const name = needWord(line, 'a name')
  const value = name === undefined ? undefined : line.quotable()
  if (name === undefined || value === undefined) return undefined
  if (value === null) {
    line.fatal(`${line.name} needs a value`)
    return undefined
  }
  const isFormat = value.quoted && line.scope.quotedValues
  return { name: name.text, value: value.text, isFormat, acls: readUses(line, 'fast'), text: line.read, at }
})

/** What stands at the beginning says which of the two forms it is. */
const readRewrite = (line: Line): RewriteLine | undefined => {
  const at = line.at()
  let first = line.regex()
  const caseInsensitive = first?.text === '-i'
  if (caseInsensitive) first = line.regex()
  if (first === null) {
    line.fatal(`${line.name} needs a URL`)
    return undefined
  }
  const isRegex = caseInsensitive || first.text.startsWith('^')
  const target = isRegex ? needWord(line, 'a URL behind its regex') : first
  if (target === undefined) return undefined
  if (!/^(?:-$|(?:30[1237]:)?(?:[a-z][a-z0-9+.-]*:\/\/|%|\$|\/))/i.test(target.text)) {
    line.fatal(`${line.name}: '${target.text}' is no URL`, target, 'write http://..., 302:http://..., /path or -')
    return undefined
  }
  return { regex: isRegex ? { text: first.text, caseInsensitive } : null, target: target.text, acls: readUses(line, 'fast'), text: line.read, at }
}

const knownSchemes = ['basic', 'digest', 'ntlm', 'negotiate', 'all']

/** In lower case. */
const readSchemes = (line: Line): readonly string[] | undefined => {
  const word = needWord(line, 'schemes')
  if (word === undefined) return undefined
  const schemes = word.text.toLowerCase().split(',').filter(Boolean)
  const unknown = schemes.find(scheme => !knownSchemes.includes(scheme))
  if (unknown === undefined && schemes.length > 0) return schemes
  const like = nearest(unknown ?? '', knownSchemes)
  line.fatal(`${line.name}: there is no scheme '${unknown ?? ''}'`, word, like === null ? `there are ${knownSchemes.join(', ')}` : `did you mean ${like}?`)
  return undefined
}

const managerPasswords: Kind<readonly ManagerPassword[]> = lines('PASSWORD|none|disable ACTION ...|all', line => {
  const at = line.at()
  const password = needWord(line, 'PASSWORD|none|disable and at least one ACTION')
  if (password === undefined) return undefined
  const actions: string[] = []
  for (let next = line.next(); next !== null; next = line.next()) actions.push(next.text.toLowerCase())
  if (actions.length > 0) return { password: password.text, actions, text: line.read, at }
  line.fatal(`${line.name} needs at least one ACTION`, password, "'all' is every page")
  return undefined
})

export const accessDirectives = {
  acl: works(
    aclLines,
    `Names a condition for the access lists. Values of one line, and of several lines with one name, are alternatives.
"FILE" in quotes takes values from a file, one per line. An ACL must stand above the lines that use it; names know no
case. Built in: all, manager, localhost, to_localhost, to_linklocal, CONNECT and the ssl::cert... family.
Types are listed below the directives.`,
    {
      example:
        'acl localnet src 10.0.0.0/8 fc00::/7\nacl blocked dstdomain "/etc/glassquid/blocked.txt"\nacl video url_regex -i \\.(mp4|mkv)$',
    },
  ),
  http_access: works(
    accessList('slow'),
    `Who may do what. Lines are tried from the top, ACLs of a line from the left; all of them must match, and the first
line that matches decides. If none does, the OPPOSITE of the last line's action holds: end with "http_access deny all".
Without any line everything is denied.`,
    {
      default: 'deny all',
      example: 'http_access deny !Safe_ports\nhttp_access allow localnet\nhttp_access deny all',
    },
  ),
  adapted_http_access: works(
    accessList('slow'),
    `As http_access, asked after ICAP and url_rewrite_program about what they have made of the request, if http_access has let
it in.`,
    {
      aliases: ['http_access2'],
      default: 'allow all',
      example: 'acl ads urlpath_regex ^/ads/\nadapted_http_access deny ads',
    },
  ),
  http_reply_access: works(
    accessList('slow'),
    `Which responses clients may receive, by ACLs about them (rep_mime_type, http_status, rep_header) and about the request.
204 and 304 always pass, and so do pages that say a request was denied. A refused response is 403, TCP_DENIED_REPLY in the
log; it may have been stored before.`,
    { default: 'allow all', example: 'acl video rep_mime_type -i ^video/\nhttp_reply_access deny video' },
  ),
  miss_access: works(
    accessList('fast'),
    `Who may cause a fetch or a tunnel; others get what is stored and fresh, else 403. src is the client that is
connected, whatever X-Forwarded-For says.`,
    { default: 'allow all', example: 'miss_access deny !localnet' },
  ),
  icp_access: works(accessList('fast'), 'Which other proxies may ask by ICP what is stored here. Others are told so (UDP_DENIED).', {
    default: 'deny all',
  }),
  htcp_access: later(accessList('fast'), 'Who may ask by HTCP.', { default: 'deny all', family: 'HTCP' }),
  htcp_clr_access: later(accessList('fast'), 'Who may purge by HTCP.', { default: 'deny all', family: 'HTCP' }),
  proxy_protocol_access: works(
    accessList('fast'),
    `Whose PROXY protocol header is believed, on ports with require-proxy-header: src is the balancer. Asked before anything is
read; connections of others are closed. Name your own balancers only: the header says who the client is.`,
    { default: 'deny all', example: 'acl balancer src 10.0.0.2\nproxy_protocol_access allow balancer', reload: 'new connections' },
  ),
  follow_x_forwarded_for: works(
    accessList('slow'),
    `Whose X-Forwarded-For is believed: while src is allowed, the last entry of the field not yet looked at is taken for the
client, and asked about in his turn. Name your own proxies only: what others write is their invention.`,
    { default: 'deny all', example: 'acl balancer src 10.0.0.2\nfollow_x_forwarded_for allow balancer' },
  ),
  acl_uses_indirect_client: works(
    onOff(),
    'ACLs about the client (src, srcdomain, maxconn ...) look at the one follow_x_forwarded_for has found.',
    { default: 'on' },
  ),
  reply_body_max_size: works(
    valueList('SIZE|none', 'fast', line => size({ unlimited: ['none', '-1'] }).read(line, size().initial)),
    `The largest content of a response a client may receive; the first line that matches counts. A longer one is 403 where
its length is known before, else it is broken off, so that the client can tell. What is fetched may be stored all the same.`,
    { example: 'acl guests src 10.9.0.0/16\nreply_body_max_size 10 MB guests' },
  ),
  deny_info: works(
    denyInfoLines,
    `What a denied client gets, by the ACL that was asked last; in a group that is a member of it. A page (ERR_..., from
error_directory or the built-in ones), NNN:PAGE with another status (2xx, 4xx, 5xx), a URL to be sent to (302, or 307 for
other methods than GET), 3xx:URL with that status, or TCP_RESET. URLs may hold the %codes of error pages. For http_access,
http_reply_access and miss_access; where nothing was decided by an ACL of a line here, ERR_ACCESS_DENIED.`,
    { example: 'deny_info 302:http://portal.example.org/?from=%u guests\ndeny_info 404:ERR_NOTHING blocked\ndeny_info TCP_RESET ads' },
  ),
  on_unsupported_protocol: works(
    valueList('tunnel|respond', 'fast', line => readChoice(line, 'treatment', ['tunnel', 'respond'] as const)),
    `What becomes of a client that speaks something else than the port is for: on intercepting ports, and within CONNECT that
ssl_bump looks into. tunnel: its bytes go to where it was going, unread; nobody looks at what they are, so give it to those
only who may send anything. respond: it is told so, where there is a way to, and closed. The first line whose ACLs match
counts; without one, respond.`,
    { example: 'acl games src 192.0.2.0/24\non_unsupported_protocol tunnel games' },
  ),
  auth_schemes: works(
    valueList('SCHEME[,SCHEME ...]|ALL', 'fast', readSchemes),
    `Which schemes of auth_param are offered to whom, and in which order; the first line that matches counts, and without one
all are, in the order of auth_param. ALL: those not yet named. Names of schemes that have no program mean nothing.`,
    { example: 'acl old browser -i MSIE\nauth_schemes basic old\nauth_schemes digest,ALL' },
  ),
  client_ip_max_connections: works(
    count({ min: -1 }),
    `How many sessions one client address may have in all services together; -1 is no limit, and 0 counts as 1. (Squid 5.7 lets
one more than N.) See max_sessions_per_client of service.`,
    { default: '-1', reload: 'new connections' },
  ),
  note: works(
    noteLines,
    `Annotates transactions that are over, for %note of logformat and the note ACLs of access_log. Of several lines with one
name the first that matches gives the value. In quotes the value may hold blanks, and with
configuration_includes_quoted_values the %codes of logformat. To annotate before, for other access lists and helpers, there
are the ACLs annotate_transaction and annotate_client, and what helpers answer.`,
    { example: 'acl video rep_mime_type ^video/\nnote kind film video\nnote kind other' },
  ),
  cachemgr_passwd: works(
    managerPasswords,
    `The password of cache manager pages, asked for by HTTP Basic with any user name. The first line that names the page, or
"all", counts; "none": no password is needed, "disable": the page is shown to nobody. Without a line, pages that show
something need none, and pages that change something or show the conf are refused over the network. Who may ask at all is
for http_access and its ACL "manager"; where no line of it names that ACL, only this machine may. The control socket
needs no password.`,
    { example: 'cachemgr_passwd secret shutdown reconfigure rotate purge\ncachemgr_passwd disable objects' },
  ),
  broken_posts: works(
    accessList('fast'),
    `Behind the content of which requests two more bytes are sent, CR LF, for servers that wait for them as some browsers of old
sent them. RFC 9112 2.2 forbids it. Not behind what goes in chunks, whose end is clear.`,
    { default: 'deny all', example: 'acl stuck dstdomain legacy.example.com\nbroken_posts allow stuck' },
  ),
  force_request_body_continuation: works(
    accessList('fast'),
    `Which requests with "Expect: 100-continue" get their 100 as soon as http_access has let them in. Otherwise it is sent when
somebody wants the content: the server, or an ICAP service.`,
    { default: 'deny all', example: 'acl impatient browser OldUploader\nforce_request_body_continuation allow impatient' },
  ),
  authenticate_ip_shortcircuit_access: works(
    accessList('fast'),
    `For which requests authenticate_ip_shortcircuit_ttl counts. Deny it to other proxies and to whatever address has several
users. Lusca's.`,
    { default: 'allow all', example: 'acl terminals src 10.0.0.9\nauthenticate_ip_shortcircuit_access deny terminals' },
  ),
  rewrite: works(
    lines('URL|- [[!]ACL ...] | [-i] ^REGEX URL [[!]ACL ...]', readRewrite),
    `Puts another URL in a request's place without a program, by the first line that matches; where there is a url_rewrite_program
these lines are not looked at. URL may be "301:URL", 302, 303 or 307, which sends the client there, or "-": nothing is done.
Without a regex URL has logformat's %codes, and %rh, %rH and %rP for the request's host, Host field and scheme (Lusca's
form). With one, which begins with ^ and is tried on the whole URL, $1 to $9 are what its groups found.`,
    { example: 'acl ads dstdomain .ads.example\nrewrite http://10.0.0.1/blank.gif ads\nrewrite ^http://(old|older)\\.example/(.*) 301:http://new.example/$2' },
  ),
  rewrite_access: works(accessList('slow'), 'Which requests the rewrite lines are for.', { default: 'allow all' }),
  hostname_aliases: works(words('NAME ...'), 'Further names by which clients may ask for pages of this proxy (cache manager).'),
  snmp_access: later(accessList('fast'), 'Who may ask by SNMP.', { default: 'deny all', family: 'SNMP' }),
  authenticate_ip_shortcircuit_ttl: works(
    age(),
    `How long who has proved who he is is taken for that user at his address, though a request does not say so; 0 is never.
Whoever shares the address is that user, too. Lusca's.`,
    { default: '0 seconds' },
  ),
}
