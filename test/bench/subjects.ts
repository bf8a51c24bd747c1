import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Namespace, Running } from '../../src/intercept/index.ts'

// What is measured side by side: each listens in the gateway on a port of its own, on one core, with logs off and as
// much memory for its cache as it asks for. Their configurations are the shortest that do the same work.

export interface Subject {
  readonly name: string
  readonly port: number
  /** Listens for what TPROXY brings; null = it cannot. */
  readonly tproxyPort: number | null
  /** Debian package it comes from; null = ours. */
  readonly debian: string | null
  /** The command of that package. */
  readonly command: string
  readonly works: readonly Work[]
  /** `disk`: content is stored on disk, and hardly any in memory. Null: it knows one way only, which is used for both. */
  start(gateway: Namespace, directory: string, origin: string, disk: boolean): Running
}

/** What is measured, by the name --works knows. */
export const works = [
  'hit', 'hit-browser', 'hit-tproxy', 'latency', 'connect', 'miss', 'miss-tproxy',
  'large-hit', 'large-disk', 'large-store', 'large-pass', 'idle',
] as const
export type Work = (typeof works)[number]
const small = ['hit', 'hit-browser', 'latency', 'connect', 'miss'] as const
const tproxied = ['hit-tproxy', 'miss-tproxy'] as const
const larges = ['large-hit', 'large-disk', 'large-store', 'large-pass'] as const

/** Commands in a namespace start at its root. */
export const root = join(import.meta.dirname, '../..')
/** On one core, with as many descriptors as ten thousand connections with two ends need, where the system allows it. */
export const on = (gateway: Namespace, ...command: readonly string[]): Running =>
  gateway.spawn('sh', ['-c', 'ulimit -n 65536 2>/dev/null; exec taskset -c 0 "$@"', 'sh', ...command])

export const write = (directory: string, name: string, text: string): string => {
  mkdirSync(directory, { recursive: true, mode: 0o777 })
  const file = join(directory, name)
  writeFileSync(file, text)
  return file
}

export const subjects: readonly Subject[] = [
  {
    name: 'glassquid',
    port: 3101,
    tproxyPort: 3102,
    debian: null,
    command: '',
    works,
    start: (gateway, directory, _origin, disk) =>
      on(
        gateway,
        join(root, 'bin/glassquid'),
        '-f',
        write(
          directory,
          'glassquid.conf',
          `http_port 3101 intercept
http_port 3102 tproxy
acl all src all
http_access allow all
${disk ? `cache_dir ufs ${join(directory, 'cache')} 8192 16 256` : ''}
cache_mem ${disk ? 64 : 512} MB
maximum_object_size_in_memory ${disk ? '512 KB' : '64 MB'}
maximum_object_size 64 MB
access_log none
cache_log ${join(directory, 'glassquid.log')}
pid_filename none
visible_hostname bench
`,
        ),
      ),
  },
  {
    name: 'net',
    port: 3111,
    tproxyPort: 3112,
    debian: null,
    command: '',
    works: ['hit', 'hit-browser', 'hit-tproxy', 'latency', 'connect', 'idle'],
    start: gateway => on(gateway, join(root, 'bin/nodex'), join(root, 'test/bench/canned.ts'), '3111', '3112'),
  },
  {
    name: 'squid',
    port: 3121,
    tproxyPort: 3122,
    debian: 'squid',
    command: 'squid',
    works,
    start: (gateway, directory, _origin, disk) => {
      const conf = write(
        directory,
        'squid.conf',
        `http_port 3121 intercept
http_port 3122 tproxy
http_port 3128
http_access allow all
${disk ? `cache_dir aufs ${join(directory, 'cache')} 8192 16 256` : ''}
cache_mem ${disk ? 64 : 512} MB
maximum_object_size_in_memory ${disk ? '512 KB' : '64 MB'}
maximum_object_size 64 MB
memory_cache_shared off
access_log none
cache_log ${join(directory, 'squid.log')}
cache_store_log none
pid_filename none
coredump_dir ${directory}
visible_hostname bench
pinger_enable off
netdb_filename none
shutdown_lifetime 0 seconds
max_filedescriptors 65536
client_idle_pconn_timeout 10 minutes
`,
      )
      const run = 'if [ "$1" = true ]; then squid -N -z -n bench -f "$0" >/dev/null 2>&1; fi; exec squid -N -n bench -f "$0"'
      return on(gateway, 'sh', '-c', run, conf, String(disk))
    },
  },
  {
    name: 'nginx',
    port: 3131,
    tproxyPort: null, // it can forge, but not listen
    debian: 'nginx-light',
    command: 'nginx',
    works: [...small, ...larges, 'idle'],
    start: (gateway, directory, origin) => {
      mkdirSync(join(directory, 'nginx-cache'), { recursive: true, mode: 0o777 })
      return on(
        gateway,
        'nginx',
        '-p',
        directory,
        '-c',
        write(
          directory,
          'nginx.conf',
          `daemon off; worker_processes 1; user root; pid ${join(directory, 'nginx.pid')}; error_log ${join(directory, 'nginx.log')};
worker_rlimit_nofile 65536;
events { worker_connections 30000; }
http {
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; sendfile on; tcp_nopush on;
  client_body_temp_path ${directory}/nb; proxy_temp_path ${directory}/np; fastcgi_temp_path ${directory}/nf;
  uwsgi_temp_path ${directory}/nu; scgi_temp_path ${directory}/ns;
  open_file_cache max=10000 inactive=600s; open_file_cache_valid 600s;
  proxy_cache_path ${directory}/nginx-cache levels=1:2 keys_zone=c:64m max_size=4g inactive=1h use_temp_path=off;
  upstream o { server ${origin}:80; keepalive 128; keepalive_requests 1000000000; }
  server { listen 3131 backlog=4096; location / { proxy_pass http://o; proxy_http_version 1.1; proxy_set_header Connection "";
    proxy_set_header Host $http_host; proxy_cache c; } }
}
`,
        ),
      )
    },
  },
  {
    name: 'haproxy',
    port: 3141,
    tproxyPort: 3142,
    debian: 'haproxy',
    command: 'haproxy',
    // not idle: it wants two descriptors for each connection, which the usual limit of 20,000 does not give for 10,000;
    // no hits of large content: an object of its cache may be half of 1 MB at most
    works: [...small, ...tproxied, 'large-pass'],
    start: (gateway, directory, origin) =>
      on(
        gateway,
        'haproxy',
        '-db',
        '-f',
        write(
          directory,
          'haproxy.cfg',
          `global
  nbthread 1
  maxconn 9500
  tune.bufsize 131072
cache c
  total-max-size 256
  max-object-size 1000000
  max-age 3600
defaults
  mode http
  timeout client 600s
  timeout server 60s
  timeout connect 5s
  timeout http-keep-alive 600s
frontend f
  bind :3141
  default_backend b
backend b
  http-request cache-use c
  http-response cache-store c
  http-reuse always
  server o ${origin}:80
frontend tf
  bind :3142 transparent
  default_backend tb
backend tb
  source 0.0.0.0 usesrc clientip
  http-request cache-use c
  http-response cache-store c
  http-reuse always
  server o ${origin}:80
`,
        ),
      ),
  },
  {
    name: 'varnish',
    port: 3151,
    tproxyPort: null,
    debian: 'varnish',
    command: 'varnishd',
    works: [...small, 'large-hit', 'large-pass', 'idle'],
    start: (gateway, directory, origin) =>
      on(
        gateway,
        'varnishd', '-F', '-j', 'none', '-n', join(directory, 'varnish'), '-a', ':3151', '-b', `${origin}:80`, '-s', 'malloc,512m',
        '-p', 'thread_pool_max=2000', '-p', 'timeout_idle=600',
      ),
  },
  {
    name: 'ats',
    port: 3161,
    tproxyPort: 3162,
    debian: 'trafficserver',
    command: 'traffic_server',
    works: [...small, ...tproxied, 'large-hit', 'large-store', 'large-pass', 'idle'],
    start: (gateway, directory) => {
      for (const part of ['etc', 'run', 'log', 'cache']) mkdirSync(join(directory, part), { recursive: true, mode: 0o777 })
      write(join(directory, 'etc'), 'records.config', atsRecords)
      write(join(directory, 'etc'), 'storage.config', `${join(directory, 'cache')} 4G\n`)
      for (const empty of ['remap.config', 'plugin.config']) write(join(directory, 'etc'), empty, '')
      const everybody = '{ apply: in, ip_addrs: 0/0, action: allow, methods: ALL }'
      write(join(directory, 'etc'), 'ip_allow.yaml', `ip_allow:\n  - ${everybody}\n`)
      const runroot = write(
        directory,
        'runroot.yaml',
        `prefix: /usr
exec_prefix: /usr
bindir: /usr/bin
sbindir: /usr/sbin
sysconfdir: ${directory}/etc
localstatedir: ${directory}/run
runtimedir: ${directory}/run
logdir: ${directory}/log
cachedir: ${directory}/cache
libexecdir: /usr/lib/trafficserver/modules
datadir: /usr/share/trafficserver
`,
      )
      return on(gateway, 'sh', '-c', 'chmod -R 777 "$0"; exec traffic_server --run-root="$1"', directory, runroot)
    },
  },
]

const atsRecords = `CONFIG proxy.config.http.server_ports STRING 3161 3162:tr-full
CONFIG proxy.config.admin.user_id STRING trafficserver
CONFIG proxy.config.crash_log_helper STRING NULL
CONFIG proxy.config.reverse_proxy.enabled INT 0
CONFIG proxy.config.url_remap.remap_required INT 0
CONFIG proxy.config.url_remap.pristine_host_hdr INT 1
CONFIG proxy.config.exec_thread.autoconfig INT 0
CONFIG proxy.config.exec_thread.autoconfig.enabled INT 0
CONFIG proxy.config.exec_thread.limit INT 1
CONFIG proxy.config.task_threads INT 1
CONFIG proxy.config.accept_threads INT 0
CONFIG proxy.config.log.logging_enabled INT 0
CONFIG proxy.config.cache.ram_cache.size INT 512M
CONFIG proxy.config.cache.ram_cache_cutoff INT 64M
CONFIG proxy.config.http.keep_alive_no_activity_timeout_in INT 600
CONFIG proxy.config.http.transaction_no_activity_timeout_in INT 600
CONFIG proxy.config.http.server_session_sharing.match STRING both
CONFIG proxy.config.http.server_session_sharing.pool STRING thread
CONFIG proxy.config.net.connections_throttle INT 30000
CONFIG proxy.config.net.max_connections_in INT 30000
CONFIG proxy.config.net.listen_backlog INT 4096
CONFIG proxy.config.hostdb.host_file.path STRING
`
