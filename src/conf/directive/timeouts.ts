import { later, works } from './directive.ts'
import { age, count, duration } from './kinds.ts'

const second = 1000
const minute = 60 * second
const hour = 60 * minute
const day = 24 * hour

// `unit` is what a number without a unit has always meant.

export const timeoutDirectives = {
  connect_timeout: works(duration({ min: 1 }), 'How long one attempt to connect to an origin may take.', {
    default: '1 minute',
  }),
  forward_timeout: works(
    duration({ min: 1 }),
    'How long all attempts for one request may take, until a connection stands.',
    { default: '4 minutes' },
  ),
  read_timeout: works(
    duration({ min: 1 }),
    'How long an origin may be silent while its response is awaited or read. Also how long a tunnel may be silent.',
    { default: '15 minutes' },
  ),
  write_timeout: works(duration({ min: 1 }), 'How long the other side may refuse to take what we send.', {
    default: '15 minutes',
  }),
  request_start_timeout: works(
    duration({ min: 1 }),
    'How long a client may take for the first byte of its first request.',
    { default: '5 minutes' },
  ),
  request_timeout: works(duration({ min: 1 }), 'How long a client may take for the head of a request.', {
    default: '5 minutes',
  }),
  client_idle_pconn_timeout: works(duration(), 'How long a client connection is kept open between requests.', {
    aliases: ['persistent_request_timeout'],
    default: '2 minutes',
  }),
  server_idle_pconn_timeout: works(duration(), 'How long an origin connection is kept open for the next request.', {
    aliases: ['pconn_timeout'],
    default: '1 minute',
  }),
  client_lifetime: works(
    duration({ unit: day, min: 1 }),
    'How long a client connection may last in all, whatever it does.',
    {
      default: '1 day',
      reload: 'new connections',
    },
  ),
  pconn_lifetime: works(
    duration({ zeroIsUnlimited: true }),
    `How old a connection may be and still be kept for a further request: of a client, to an origin or cache_peer, to an ICAP
service. What is under way on it is not disturbed. Of clients' and client_lifetime the shorter counts.`,
    { default: '0 seconds', reload: 'new connections' },
  ),
  dns_timeout: works(duration({ min: 1 }), 'How long a name may take to resolve.', { default: '30 seconds' }),
  shutdown_lifetime: works(duration(), 'How long running transactions may go on after the proxy was told to stop.', {
    default: '30 seconds',
  }),
  hung_worker_timeout: works(
    duration(),
    `With workers: one whose event loop has answered nobody for so long is killed (SIGABRT, then SIGKILL) and another started in its
place; cache.log says so. At least a second; 0: never, as for a debugger. One process alone is watched by systemd
(WatchdogSec). Not a directive of Squid.`,
    { default: '30 seconds' },
  ),
  peer_connect_timeout: works(duration({ min: 1 }), 'How long a connection to a cache_peer may take (its connect-timeout= comes first).', {
    default: '30 seconds',
  }),
  dead_peer_timeout: works(duration(), 'How long a peer may leave ICP queries unanswered before it counts as dead; it is asked on as often.', {
    default: '10 seconds',
  }),
  icp_query_timeout: works(count(), 'How long ICP answers are awaited, in milliseconds; 0: twice what parents (if none, siblings) usually take.', {
    default: '0',
  }),
  maximum_icp_query_timeout: works(count(), 'The longest ICP answers are awaited, in milliseconds.', {
    default: '2000',
  }),
  minimum_icp_query_timeout: works(count(), 'The shortest ICP answers are awaited, in milliseconds.', {
    default: '5',
  }),
  icap_connect_timeout: works(duration({ min: 1 }), 'How long a connection to an ICAP service may take.', {
    default: '1 minute',
  }),
  icap_io_timeout: works(duration({ min: 1 }), 'How long an ICAP service may be silent.', { default: '15 minutes' }),
  ftp_client_idle_timeout: later(duration({ min: 1 }), 'How long an FTP client may be silent.', {
    default: '30 minutes',
    family: 'FTP',
  }),
  background_ping_rate: works(duration(), 'How often a peer with background-ping is asked by ICP at most.', { default: '10 seconds' }),
  collapsed_forwarding_timeout: works(
    age({ min: 1000 }),
    "How long a request waits for the head of another's response (collapsed_forwarding) before it asks for itself. Lusca's.",
    { default: '30 seconds' },
  ),
  high_response_time_warning: works(
    count(),
    'A warning in cache.log, once a minute, while the median time of requests in the last minute is more milliseconds than this. 0: none.',
    { default: '0' },
  ),
}
