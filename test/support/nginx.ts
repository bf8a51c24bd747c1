import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { ms, systemClock } from '../../src/base/index.ts'
import type { Network, Running } from './net-lab.ts'

// nginx as origin, on the lab's origin machine. Its pages lie in that machine's /run/www; each folder has its own
// Cache-Control. What it saw is in its access log, one JSON line per request.

export interface NginxSight {
  /** Whom nginx sees at the other end. */
  readonly peer: string
  readonly port: number
  readonly method: string
  readonly uri: string
  readonly status: number
  readonly via: string
  /** What it was asked for of the file; '' = all. */
  readonly range: string
  /** Bytes of content that it sent. */
  readonly sent: number
}

// root is the only user an ordinary user's lab has: nginx would give its folders to another, and fail
const conf = `
user root;
daemon off;
master_process off;
pid /run/nginx/pid;
error_log stderr;
events { worker_connections 4096; }
http {
  default_type text/plain;
  log_format facts escape=json '{"peer":"$remote_addr","port":$remote_port,"method":"$request_method","uri":"$request_uri","status":$status,"via":"$http_via","range":"$http_range","sent":$body_bytes_sent}';
  access_log /run/nginx/access.log facts;
  client_body_temp_path /run/nginx/body;
  proxy_temp_path /run/nginx/proxy;
  fastcgi_temp_path /run/nginx/fastcgi;
  uwsgi_temp_path /run/nginx/uwsgi;
  scgi_temp_path /run/nginx/scgi;
  keepalive_timeout 60s;
  server {
    listen 80; listen [::]:80; listen 8080; listen [::]:8080;
    root /run/www;
    location /fresh/ { add_header Cache-Control max-age=600; }
    location /etag/ { add_header Cache-Control no-cache; }
    location /modified/ { etag off; add_header Cache-Control no-cache; }
    location /private/ { add_header Cache-Control no-store; }
    location /zip/ { gzip on; gzip_proxied any; gzip_min_length 1; gzip_types text/plain; gzip_vary on; add_header Cache-Control max-age=600; }
  }
}
`

export class Nginx {
  readonly sights: NginxSight[] = []
  readonly #lab: Network
  readonly #waiting = new Set<() => void>()
  #server: Running
  #barriers = 0

  private constructor(lab: Network) {
    this.#lab = lab
    this.#server = this.#spawn()
  }

  static async open(lab: Network): Promise<Nginx> {
    await lab.origin.script('mkdir -p /run/nginx /run/www; : >/run/nginx/access.log')
    writeFileSync(join(lab.origin.root, 'run/nginx/nginx.conf'), conf)
    const nginx = new Nginx(lab)
    lab.origin.spawn('tail', ['-n', '+1', '-F', '/run/nginx/access.log']).onLine(line => {
      if (!line.startsWith('{')) return
      nginx.sights.push(JSON.parse(line) as NginxSight) // nginx's own line, in the format above
      for (const look of [...nginx.#waiting]) look()
    })
    nginx.page('barrier', '')
    await nginx.answers()
    return nginx
  }

  page(path: string, content: string | Buffer): void {
    const file = join(this.#lab.origin.root, 'run/www', path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, content)
  }

  async stop(): Promise<void> {
    await this.#server.stop()
  }

  async start(): Promise<void> {
    this.#server = this.#spawn()
    await this.answers()
  }

  /** What nginx saw of `path`; whatever was asked before this call is in it. */
  async saw(path: string): Promise<readonly NginxSight[]> {
    await this.#barrier()
    return this.sights.filter(sight => sight.uri === path)
  }

  /** nginx writes its log in the order of requests: when it tells of one made now, nothing older is to come. */
  async #barrier(): Promise<void> {
    const uri = `/barrier?${++this.#barriers}`
    await this.#lab.origin.must('curl', '-sS', '-o', '/dev/null', `http://127.0.0.1${uri}`)
    await new Promise<void>((resolve, reject) => {
      const look = () => {
        if (!this.sights.some(sight => sight.uri === uri)) return
        this.#waiting.delete(look)
        deadline.cancel()
        resolve()
      }
      const deadline = systemClock.after(ms(10_000), () => reject(new Error(`nginx has not told of ${uri}`)))
      this.#waiting.add(look)
      look()
    })
  }

  #spawn(): Running {
    return this.#lab.origin.spawn('nginx', ['-e', 'stderr', '-c', '/run/nginx/nginx.conf'])
  }

  /** nginx does not say when it listens. */
  async answers(): Promise<void> {
    const asks = 'for i in $(seq 200); do curl -sS -o /dev/null http://127.0.0.1/barrier && exit 0; sleep 0.05; done; exit 1'
    const asked = await this.#lab.origin.run('sh', '-c', asks)
    if (asked.code !== 0) throw new Error(`nginx does not answer: ${asked.stderr.slice(-300)}\n${this.#server.said}`)
  }
}
