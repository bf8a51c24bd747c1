import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Namespace, Running } from '../../src/intercept/index.ts'

// What is measured side by side: each listens in the gateway on a port of its own, on one core, with logs off and as
// much memory for its cache as it asks for. Their configurations are the shortest that do the same work.

export interface Subject {
  readonly name: string
  readonly port: number
  /** Debian package it comes from; null = ours. */
  readonly debian: string | null
  /** Can it take intercepted connections for any origin, or only for the one it is told (reverse)? */
  readonly works: readonly Work[]
  start(gateway: Namespace, directory: string, origin: string): Running
}

export const works = ['hit', 'hit-browser', 'miss', 'connect', 'idle'] as const
export type Work = (typeof works)[number]

/** Commands in a namespace start at its root. */
const root = join(import.meta.dirname, '../..')
/** On one core, with as many descriptors as ten thousand connections with two ends need, where the system allows it. */
const on = (gateway: Namespace, ...command: readonly string[]): Running =>
  gateway.spawn('sh', ['-c', 'ulimit -n 65536 2>/dev/null; exec taskset -c 0 "$@"', 'sh', ...command])

const write = (directory: string, name: string, text: string): string => {
  mkdirSync(directory, { recursive: true, mode: 0o777 })
  const file = join(directory, name)
  writeFileSync(file, text)
  return file
}

export const subjects: readonly Subject[] = [
  {
    name: 'glassquid',
    port: 3101,
    debian: null,
    works,
    start: (gateway, directory) =>
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
cache_mem 512 MB
maximum_object_size_in_memory 8 MB
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
    debian: null,
    works: ['hit', 'hit-browser', 'connect', 'idle'],
    start: gateway => on(gateway, join(root, 'bin/nodex'), join(root, 'test/bench/canned.ts'), '3111'),
  },
  {
    name: 'squid',
    port: 3121,
    debian: 'squid',
    works,
    start: (gateway, directory) =>
      on(
        gateway,
        'squid',
        '-N',
        '-n',
        'bench',
        '-f',
        write(
          directory,
          'squid.conf',
          `http_port 3121 intercept
http_port 3122 tproxy
http_port 3128
http_access allow all
cache_mem 512 MB
maximum_object_size_in_memory 8 MB
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
        ),
      ),
  },
  {
    name: 'nginx',
    port: 3131,
    debian: 'nginx-light',
    works,
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
    debian: 'haproxy',
    // not idle: it wants two descriptors for each connection, which the usual limit of 20,000 does not give for 10,000
    works: ['hit', 'hit-browser', 'miss', 'connect'],
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
`,
        ),
      ),
  },
  {
    name: 'varnish',
    port: 3151,
    debian: 'varnish',
    works: ['hit', 'hit-browser', 'miss', 'connect', 'idle'],
    start: (gateway, directory, origin) =>
      on(
        gateway,
        'varnishd', '-F', '-j', 'none', '-n', join(directory, 'varnish'), '-a', ':3151', '-b', `${origin}:80`, '-s', 'malloc,512m',
        '-p', 'thread_pool_max=2000', '-p', 'timeout_idle=600',
      ),
  },
]
