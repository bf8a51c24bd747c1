import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { labAddresses, type Network, type Running } from '../../src/intercept/index.ts'
import { largeMib } from './large.ts'

// The three machines of a bench: who takes the client's connections, and the origin behind it.

export type Way = 'redirect' | 'tproxy'

export const smallKib = [1, 16, 100] as const

export const tune = async (network: Network): Promise<void> => {
  await network.gateway.script(`sysctl -qw net.ipv4.tcp_max_syn_backlog=8192 net.core.somaxconn=8192
ip rule add fwmark 1 lookup 100
ip route add local 0.0.0.0/0 dev lo table 100
mount -t tmpfs tmpfs /dev/shm # Squid does not start where a killed one has left its segments`)
  // with a new connection per request the client runs out of ports otherwise
  await network.client.script('sysctl -qw net.ipv4.ip_local_port_range="1024 65535" net.ipv4.tcp_tw_reuse=1')
}

/** From now on the client's connections to port 80 go to `port` of the gateway. */
export const take = (network: Network, way: Way, port: number): Promise<string> =>
  network.gateway.script(`nft -f - <<'RULES'
table inet bench
delete table inet bench
table inet bench {
${way === 'redirect' ? redirected(port) : tproxied(port)}
}
RULES
conntrack -F >/dev/null 2>&1 || true`)

const redirected = (port: number): string => `  chain pre {
    type nat hook prerouting priority dstnat
    iifname "lan" tcp dport 80 redirect to :${port}
  }`

/** What belongs to a connection of the proxy goes to it, also the origin's answers to an address that is not ours. */
const tproxied = (port: number): string => `  chain pre {
    type filter hook prerouting priority mangle
    meta l4proto tcp socket transparent 1 meta mark set 1 accept
    iifname "lan" tcp dport 80 tproxy ip to :${port} meta mark set 1 accept
  }`

/** nginx with files: /1k may be stored, /miss/1k not, /50m and /miss/50m likewise; /many/1k/X is /1k. */
export const startOrigin = (network: Network, directory: string): Running => {
  const www = join(directory, 'www')
  mkdirSync(www, { recursive: true })
  for (const kib of smallKib) writeFileSync(join(www, `${kib}k`), Buffer.alloc(kib * 1024, 'x'))
  writeFileSync(join(www, `${largeMib}m`), Buffer.alloc(largeMib * 1024 * 1024, 'x'))
  const conf = join(directory, 'origin.conf')
  writeFileSync(
    conf,
    `daemon off; worker_processes 1; user root; pid ${directory}/origin.pid; error_log ${directory}/origin.log;
events { worker_connections 4096; }
http { access_log off; default_type text/plain; keepalive_requests 1000000000; keepalive_timeout 600s; sendfile on; tcp_nopush on;
  client_body_temp_path ${directory}/ob; proxy_temp_path ${directory}/op; fastcgi_temp_path ${directory}/of;
  uwsgi_temp_path ${directory}/ou; scgi_temp_path ${directory}/os; open_file_cache max=100; open_file_cache_valid 600s;
  server { listen 80 backlog=4096; listen [::]:80; root ${www};
    location / { add_header Cache-Control "max-age=36000"; }
    location ~ ^/many/ { rewrite ^/many/([0-9]+k)/ /$1 break; add_header Cache-Control "max-age=36000"; }
    location /miss/ { alias ${www}/; add_header Cache-Control "no-store"; } } }
`,
  )
  return network.origin.spawn('taskset', ['-c', '1', 'nginx', '-p', directory, '-c', conf])
}

export const origin = labAddresses.origin.ipv4
