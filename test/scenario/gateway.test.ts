// The proxy in place of Squid: a gateway with real kernel rules, a plain squid-like conf and the real daemon, nginx as
// origin, curl and wget as clients who know of nothing. Everything is asserted at the client, in the proxy's access log
// and at the origin: with broken rules packets would simply be forwarded, and client and origin would look the same.

import { createHash, randomBytes } from 'node:crypto'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openNetwork } from '../../src/intercept/index.ts'
import {
  applyRules, confPath, curl, deadPort, factsLog, families, Gateway, glassquid, home, natPort, program, squidLikeConf,
  tproxyPort, usualRules, wget,
} from '../support/gateway.ts'
import { labAddresses, type Network, noLabWith, withLab } from '../support/net-lab.ts'
import { Nginx } from '../support/nginx.ts'

const cannot = noLabWith('nft', 'nginx', 'curl', 'wget')
const { client, gatewayWan, origin } = labAddresses
const clients = { curl, wget }
/** For what the daemon does in its own time: its logs, what a signal asks of it. */
const soon = { timeout: 10_000 }

const digest = (bytes: string | Buffer): string =>
  createHash('sha256')
    .update(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes)
    .digest('hex')

describe.skipIf(cannot !== null)(`a gateway in place of Squid ${cannot ?? ''}`, () => {
  let lab: Network
  let gateway: Gateway
  let nginx: Nginx

  beforeAll(async () => {
    lab = await openNetwork()
    nginx = await Nginx.open(lab)
    gateway = await Gateway.open(lab)
  })
  afterAll(() => lab.close())

  const ways = [
    { way: 'tproxy', port: tproxyPort },
    { way: 'nat', port: natPort },
  ] as const
  const pages = families.flatMap(family =>
    ways.flatMap(way => (['curl', 'wget'] as const).map(command => ({ ...family, ...way, command }))),
  )

  it.each(pages)('$command, $family by $way: a miss the origin sees, then a hit it does not', async page => {
    const path = `/fresh/${page.family}-${page.way}-${page.command}`
    nginx.page(path, `page ${path}`)
    const uri = `http://origin.lab${page.port === 80 ? '' : `:${page.port}`}${path}`
    const miss = await clients[page.command](lab, page.flag, uri)
    const hit = await clients[page.command](lab, page.flag, uri)
    expect([miss.status, miss.content, hit.status, hit.content]).toEqual([200, `page ${path}`, 200, `page ${path}`])
    expect(miss.fields.get('via')).toMatch(/^1\.1 gateway\.lab \(/)
    expect(hit.fields.get('age')).toMatch(/^\d$/)

    const taken = { taken: page.way, client: page.client, destination: page.origin, destinationPort: page.port, uri, status: 200 }
    const source = page.way === 'tproxy' ? page.client : page.gatewayWan
    expect(await gateway.about(path, 2)).toMatchObject([
      { ...taken, result: 'TCP_MISS', hierarchy: 'ORIGINAL_DST', serverLocal: source },
      { ...taken, result: 'TCP_MEM_HIT', hierarchy: 'HIER_NONE', serverLocal: '' },
    ])
    expect(await nginx.saw(path)).toMatchObject([{ peer: source, method: 'GET', status: 200, via: expect.stringContaining('gateway.lab') }])
  })

  it('a page that must be validated: asked with its ETag or its date, sent again only when it has changed', async () => {
    for (const folder of ['etag', 'modified']) {
      const path = `/${folder}/page`
      const uri = `http://origin.lab${path}`
      nginx.page(path, 'first')
      for (const content of ['first', 'first']) expect((await curl(lab, '-4', uri)).content).toBe(content)
      nginx.page(path, 'second, longer')
      // nginx's validators have a second's resolution; the length tells ETags apart, a Last-Modified needs a new second
      await lab.origin.must('touch', '-d', '2001-02-03', `/run/www${path}`)
      for (const content of ['second, longer', 'second, longer']) expect((await curl(lab, '-4', uri)).content).toBe(content)
      expect((await gateway.about(path, 4)).map(record => `${record.result}/${record.status}`)).toEqual([
        'TCP_MISS/200',
        'TCP_REFRESH_UNMODIFIED/200',
        'TCP_REFRESH_MODIFIED/200',
        'TCP_REFRESH_UNMODIFIED/200',
      ])
      expect((await nginx.saw(path)).map(sight => sight.status)).toEqual([200, 304, 200, 304])
    }
  })

  it('clients that have the page already: 304 from the cache, by ETag (curl) and by date (wget -N)', async () => {
    const path = '/fresh/known'
    nginx.page(path, 'known')
    const first = await curl(lab, '-4', `http://origin.lab${path}`)
    const again = await curl(lab, '-4', '-H', `If-None-Match: ${first.fields.get('etag')}`, `http://origin.lab${path}`)
    expect([again.status, again.content, again.fields.get('etag')]).toEqual([304, '', first.fields.get('etag')])

    const save = ['-4', '-q', '-N', '-P', '/run/saved', `http://origin.lab${path}`]
    expect((await lab.client.run('wget', ...save)).code).toBe(0)
    expect((await lab.client.run('wget', ...save)).code).toBe(0)
    expect(readFileSync(join(lab.client.root, 'run/saved/known'), 'latin1')).toBe('known')
    expect((await gateway.about(path, 4)).map(record => `${record.result}/${record.status}`)).toEqual([
      'TCP_MISS/200',
      'TCP_INM_HIT/304',
      'TCP_MEM_HIT/200',
      'TCP_IMS_HIT/304',
    ])
    expect(await nginx.saw(path)).toHaveLength(1)
  })

  it('five megabytes of noise arrive as they left, whole and in parts, and compressed text unpacks', async () => {
    const noise = randomBytes(5 * 1024 * 1024)
    nginx.page('/fresh/noise', noise)
    const text = 'glass '.repeat(100_000)
    nginx.page('/zip/text', text)
    for (const [flag, port] of [['-4', 80], ['-6', 8080]] as const) {
      const uri = `http://origin.lab:${port}`
      expect(digest((await curl(lab, flag, `${uri}/fresh/noise`)).content)).toBe(digest(noise))
      expect(digest((await wget(lab, flag, `${uri}/fresh/noise`)).content)).toBe(digest(noise))
      const part = await curl(lab, flag, '-r', '1000-1999', `${uri}/fresh/noise`)
      expect([part.status, digest(part.content)]).toEqual([206, digest(noise.subarray(1000, 2000))])
      const zipped = await curl(lab, flag, '--compressed', `${uri}/zip/text`)
      expect([zipped.fields.get('content-encoding'), digest(zipped.content)]).toEqual(['gzip', digest(text)])
      // Vary: Accept-Encoding keeps it from those who did not ask for it
      const plain = await curl(lab, flag, `${uri}/zip/text`)
      expect([plain.fields.get('content-encoding'), digest(plain.content)]).toEqual([undefined, digest(text)])
    }
  })

  it('what nginx refuses, redirects or has no content for passes as it is', async () => {
    nginx.page('/private/folder/index.html', 'index')
    expect(await curl(lab, '-4', 'http://origin.lab/private/nothing')).toMatchObject({ status: 404 })
    const redirect = await curl(lab, '-4', 'http://origin.lab/private/folder')
    expect([redirect.status, redirect.fields.get('location')]).toEqual([301, 'http://origin.lab/private/folder/'])
    expect((await curl(lab, '-4', '-L', 'http://origin.lab/private/folder')).code).toBe(0)
    const head = await curl(lab, '-4', '-I', 'http://origin.lab/private/folder/')
    expect([head.code, head.status, head.fields.get('content-length'), head.content]).toEqual([0, 200, '5', ''])
    expect((await curl(lab, '-4', '-X', 'DELETE', 'http://origin.lab/private/folder/')).status).toBe(405)
    const [deleted] = await nginx.saw('/private/folder/').then(sights => sights.filter(sight => sight.method === 'DELETE'))
    expect(deleted).toMatchObject({ peer: client.ipv4, status: 405 })
    expect(await gateway.record(record => record.method === 'DELETE')).toMatchObject({ status: 405, taken: 'tproxy' })
  })

  it('clients that are told of the proxy use the same one, and CONNECT only where the acls allow it', async () => {
    nginx.page('/fresh/told', 'told')
    const proxy = 'http://gateway.lab:3128'
    const first = await curl(lab, '-x', proxy, 'http://origin.lab/fresh/told')
    expect([first.status, first.content]).toEqual([200, 'told'])
    const second = await lab.client.runWith({ env: { http_proxy: proxy } }, 'wget', '-q', '-O', '-', 'http://origin.lab/fresh/told')
    expect([second.code, second.stdout]).toEqual([0, 'told'])
    expect(await gateway.about('/fresh/told', 2)).toMatchObject([
      { taken: 'direct', result: 'TCP_MISS', hierarchy: 'HIER_DIRECT' },
      { taken: 'direct', result: 'TCP_MEM_HIT' },
    ])
    const [seen] = await nginx.saw('/fresh/told')
    expect([gatewayWan.ipv4, gatewayWan.ipv6]).toContain(seen?.peer)

    const refused = await curl(lab, '-p', '-x', proxy, 'http://origin.lab/fresh/told')
    expect(refused.status).toBe(403)
    expect(await gateway.record(record => record.method === 'CONNECT')).toMatchObject({ result: 'TCP_DENIED', status: 403, serverLocal: '' })
    expect(await nginx.saw('/fresh/told')).toHaveLength(1)
  })

  it('the access log is Squid’s native one', async () => {
    await gateway.control('rotate')
    await expect.poll(() => readRun('access.log.0'), soon).toContain('/fresh/told')
    for (const line of readRun('access.log.0').trimEnd().split('\n')) {
      expect(line).toMatch(
        /^\d{10}\.\d{3} +\d+ [0-9a-f.:]+ [A-Z_]+\/\d{3} \d+ [A-Z]+ \S+ - [A-Z_]+\/\S+ \S+$/,
      )
    }
  })

  const readRun = (name: string): string => readFileSync(join(lab.gateway.root, 'run/glassquid', name), 'latin1')

  it('nobody listens at the origin: 503, and the client is told which error; not a hang, not a reset', async () => {
    for (const { flag, client: from, origin: to } of families) {
      const path = `/down${flag}`
      const answer = await curl(lab, flag, `http://origin.lab:${deadPort}${path}`)
      expect([answer.code, answer.status]).toEqual([0, 503])
      expect(answer.fields.get('x-squid-error')).toMatch(/^ERR_CONNECT_FAIL /)
      expect(answer.content).not.toContain(to)
      expect(await gateway.about(path)).toMatchObject([
        { taken: 'tproxy', client: from, destination: to, destinationPort: deadPort, result: 'TCP_MISS', status: 503, hierarchy: 'ORIGINAL_DST' },
      ])
    }
  })

  it('two clients and the gateway itself never share a connection to the origin; each keeps its own open', async () => {
    nginx.page('/private/who', 'who')
    const second = '198.51.100.3'
    await lab.client.must('ip', 'addr', 'replace', `${second}/24`, 'dev', 'eth0')
    const ask = (from: string, port: number, mark: string) =>
      curl(lab, '-4', '--interface', from, `http://origin.lab:${port}/private/who?${mark}`)
    const turns = [client.ipv4, second, client.ipv4, second, client.ipv4, second]
    for (const [turn, from] of turns.entries()) {
      expect((await ask(from, tproxyPort, `forged-${turn}`)).status).toBe(200)
      expect((await ask(from, natPort, `own-${turn}`)).status).toBe(200)
    }
    const together = Array.from({ length: 12 }, (_, at) => ask(turns[at % 2] ?? '', tproxyPort, `together-${at}`))
    expect((await Promise.all(together)).map(got => got.status)).toEqual(together.map(() => 200))

    await nginx.saw('')
    const seen = (mark: string) => nginx.sights.filter(sight => sight.uri.startsWith(`/private/who?${mark}-`))
    expect(seen('forged').map(sight => sight.peer)).toEqual(turns)
    expect(seen('own').map(sight => sight.peer)).toEqual(turns.map(() => gatewayWan.ipv4))
    const owner = (uri: string) => turns[Number(uri.split('-').at(-1)) % 2]
    expect(seen('together').filter(sight => sight.peer !== owner(sight.uri))).toEqual([])
    // one connection to nginx for each of the two clients, and one for those it sees as the gateway
    const connections = (mark: string, peer: string) => new Set(seen(mark).filter(s => s.peer === peer).map(s => s.port)).size
    expect([connections('forged', client.ipv4), connections('forged', second), connections('own', gatewayWan.ipv4)]).toEqual([1, 1, 1])

    const records = await gateway.about('/private/who?', 2 * turns.length + together.length)
    for (const record of records) {
      const sight = nginx.sights.find(({ uri }) => record.uri.endsWith(uri))
      expect([record.serverLocal, record.serverLocalPort]).toEqual([sight?.peer, sight?.port])
      if (record.taken === 'tproxy') expect(record.serverLocal).toBe(record.client)
    }
  })

  it('the origin goes away and comes back: what is stored is served meanwhile, the rest is 503 until then', async () => {
    nginx.page('/fresh/stored', 'stored')
    nginx.page('/private/asked', 'asked')
    const get = (path: string) => curl(lab, '-4', `http://origin.lab${path}`)
    expect([(await get('/fresh/stored')).status, (await get('/private/asked')).status]).toEqual([200, 200])
    await nginx.stop()
    expect((await get('/private/asked')).status).toBe(503)
    expect((await get('/fresh/stored')).content).toBe('stored')
    await nginx.start()
    expect((await get('/private/asked')).content).toBe('asked')
    expect((await gateway.about('/private/asked', 3)).map(record => record.status)).toEqual([200, 503, 200])
  })

  it('WebSocket through both intercepted ports: text, a megabyte, ping, and the closing handshake', async () => {
    for (const [port, way, peer] of [[8081, 'nat', gatewayWan.ipv4], [82, 'tproxy', client.ipv4]] as const) {
      await applyRules(lab, ...usualRules, '--take', '8081=3129', '--take', '82=3130')
      const server = lab.origin.spawn(process.execPath, [program('web-socket-origin'), String(port)], { cwd: home })
      await server.heard('listening')
      const said = await lab.client.must(process.execPath, program('web-socket-client'), `ws://${origin.ipv4}:${port}/chat`)
      expect(said.trim().split('\n')).toEqual([
        'open',
        'text through the glass',
        `bytes ${1024 * 1024} the same`,
        'pong still there',
        'closed 4000 enough',
      ])
      await server.heard('closed 4000 enough')
      expect(server.said).toContain(`connected ${peer} /chat`)
      expect(await gateway.record(record => record.uri.includes(`:${port}/chat`))).toMatchObject({
        taken: way,
        client: client.ipv4,
        result: 'TCP_TUNNEL',
        status: 101,
        serverLocal: peer,
      })
    }
  })
})

describe.skipIf(cannot !== null)(`the gateway’s rules ${cannot ?? ''}`, () => {
  const missing = noLabWith('iptables', 'ip6tables')

  it.skipIf(missing !== null)(`may be iptables’ as well ${missing ?? ''}`, () =>
    withLab(async lab => {
      const nginx = await Nginx.open(lab)
      const gateway = await Gateway.open(lab, { rules: ['iptables', ...usualRules.slice(1)] })
      for (const { family, flag, client: from, gatewayWan: own } of families) {
        for (const [port, way, peer] of [[tproxyPort, 'tproxy', from], [natPort, 'nat', own]] as const) {
          const path = `/fresh/${family}-${way}`
          nginx.page(path, path)
          const answers = [1, 2].map(() => () => curl(lab, flag, `http://origin.lab:${port}${path}`))
          for (const ask of answers) expect((await ask()).content).toBe(path)
          expect((await gateway.about(path, 2)).map(r => `${r.taken} ${r.result}`)).toEqual([`${way} TCP_MISS`, `${way} TCP_MEM_HIT`])
          expect(await nginx.saw(path)).toMatchObject([{ peer }])
        }
      }
    }),
  )

  it.each(['on', 'off'])('that take the proxy’s own connections too: a request ends after one try, and nothing storms (via %s)', via =>
    withLab(async lab => {
      const nginx = await Nginx.open(lab)
      // the gateway's own connections are taken but for those of a user who is not the proxy's
      const gateway = await Gateway.open(lab, {
        conf: `${squidLikeConf}${factsLog}connect_timeout 1 second\nvia ${via}\nacl localnet src ${gatewayWan.ipv4} ${gatewayWan.ipv6}\n`,
        rules: [...usualRules, '--local', '--user', '65534'],
      })
      nginx.page('/private/round', 'round')
      for (const { flag, client: from, gatewayWan: own } of families) {
        // by NAT the proxy meets itself, and knows its own connection
        const nat = await curl(lab, flag, `http://origin.lab:${natPort}/private/round?nat${flag}`)
        expect(nat.status).toBe(403)
        expect(await gateway.about(`?nat${flag}`, 2)).toMatchObject([
          { taken: 'nat', client: own, result: 'TCP_DENIED', status: 403, serverLocal: '' },
          { taken: 'nat', client: from, result: 'TCP_MISS', status: 403, serverLocal: own },
        ])
        // by TPROXY the kernel's answer to a forged address goes to the one whose it is: nobody connects
        const tproxy = await curl(lab, flag, `http://origin.lab:${tproxyPort}/private/round?tproxy${flag}`)
        expect(tproxy.status).toBe(504)
        expect(await gateway.about(`?tproxy${flag}`)).toMatchObject([{ taken: 'tproxy', client: from, status: 504 }])
      }
      expect(gateway.cacheLog).toMatch(/WARNING: Forwarding loop detected for http:\/\/origin\.lab:8080\//)
      expect(gateway.records).toHaveLength(6)
      expect(await nginx.saw('/private/round')).toEqual([])
    }),
  )
})

describe.skipIf(cannot !== null)(`the running daemon ${cannot ?? ''}`, () => {
  const half = 4 * 1024 * 1024

  /** A download that has got its first half, and gets the second when `go` is called. */
  const halfWay = async (lab: Network, uri = `http://origin.lab:${natPort}/gated?bytes=${2 * half}`) => {
    const server = lab.origin.spawn(process.execPath, [program('counting-origin'), String(natPort)])
    await server.heard('listening')
    const file = join(lab.client.root, 'run/download')
    const download = lab.client.spawn('curl', ['-sS', '-o', '/run/download', '-w', 'got %{size_download}\n', uri])
    await expect.poll(() => statSync(file, { throwIfNoEntry: false })?.size, soon).toBeGreaterThan(0)
    return { download, server, go: () => server.tell('go\n') }
  }

  it('-k check, parse, reconfigure and rotate do their work while a download goes on', () =>
    withLab(async lab => {
      const gateway = await Gateway.open(lab)
      const { download, go } = await halfWay(lab)
      const told = async (word: string) => (await gateway.control(word)).code
      expect(await told('check')).toBe(0)
      expect(await told('parse')).toBe(0)

      gateway.use(`${squidLikeConf}${factsLog}`.replace('http_access allow localnet', 'http_access deny localnet'))
      expect(await told('reconfigure')).toBe(0)
      await expect.poll(() => gateway.cacheLog, soon).toMatch(/Reconfigured$/m)
      const refused = await curl(lab, '-4', `http://origin.lab:${natPort}/refused`)
      expect(refused.status).toBe(403)
      expect(await gateway.about('/refused')).toMatchObject([{ result: 'TCP_DENIED', serverLocal: '' }])

      // a conf that does not parse reaches nobody; told by signal alone, the daemon keeps the former one and says so
      gateway.use(`${squidLikeConf}${factsLog}http_prot 3131\n`)
      const bad = await gateway.control('reconfigure')
      expect([bad.code, bad.stderr]).toEqual([1, expect.stringMatching(/glassquid\.conf[:(]\d+.*http_prot/)])
      expect(gateway.cacheLog).not.toMatch(/refused/)
      gateway.proxy.signal('SIGHUP')
      await expect.poll(() => gateway.cacheLog, soon).toMatch(/ERROR: the new conf was refused: the former one stays in force/)
      expect((await curl(lab, '-4', `http://origin.lab:${natPort}/refused`)).status).toBe(403)

      gateway.use(`${squidLikeConf}${factsLog}`)
      expect(await told('reconfigure')).toBe(0)
      await expect.poll(() => gateway.cacheLog.match(/Reconfigured$/gm), soon).toHaveLength(2)
      expect(await told('rotate')).toBe(0)
      const log = (name: string) => join(lab.gateway.root, 'run/glassquid', name)
      await expect.poll(() => existsSync(log('access.log.0')), soon).toBe(true)
      expect(readFileSync(log('access.log.0'), 'latin1')).toContain('/refused')
      expect(gateway.cacheLog).toContain('logs rotated')

      expect(download.ended).toBe(false)
      go()
      expect([await download.exited, download.said]).toEqual([0, `got ${2 * half}\n`])
      expect(await gateway.about('/gated')).toMatchObject([{ status: 200, taken: 'nat', result: 'TCP_MISS' }])
      // the new access log has it, in the place of the rotated one
      await expect.poll(() => readFileSync(log('access.log'), 'latin1'), soon).toContain('/gated')
      expect(await gateway.proxy.stop()).toBe(0)
    }),
  )

  it('-k shutdown: no new clients, open downloads come to their end, idle clients do not hold it up, exit code 0', () =>
    withLab(async lab => {
      const gateway = await Gateway.open(lab, { conf: `${squidLikeConf}${factsLog}shutdown_lifetime 1 hour\n` })
      const { download, go } = await halfWay(lab)
      const idle = lab.client.spawn(process.execPath, ['-e', keepsOpen, labAddresses.gateway.ipv4, '3128'])
      await idle.heard('HTTP/1.1')
      expect((await gateway.control('shutdown')).code).toBe(0)
      await idle.heard('closed')
      expect((await curl(lab, '-x', 'http://gateway.lab:3128', 'http://origin.lab/')).code).toBe(7)
      expect(download.ended).toBe(false)
      expect((await gateway.control('check')).code).toBe(0)
      go()
      expect([await download.exited, download.said]).toEqual([0, `got ${2 * half}\n`])
      expect(await gateway.proxy.exited).toBe(0)
      expect(await gateway.about('/gated')).toMatchObject([{ status: 200, result: 'TCP_MISS' }])
      expect(existsSync(join(lab.gateway.root, 'run/glassquid/glassquid.pid'))).toBe(false)
      expect(gateway.cacheLog).toMatch(/glassquid \S+ ends$/m)
      const gone = await gateway.control('check')
      expect([gone.code, gone.stderr]).toEqual([1, expect.stringMatching(/^FATAL: failed to open PID file .*no such file/m)])
    }),
  )

  it('shutdown_lifetime, a second -k shutdown and -k interrupt end it while a download hangs, exit code 0', () =>
    withLab(async lab => {
      const gateway = await Gateway.open(lab)
      const endings = [['1 second', 'shutdown'], ['1 hour', 'shutdown', 'shutdown'], ['1 hour', 'interrupt']] as const
      for (const [lifetime, ...words] of endings) {
        await gateway.proxy.stop()
        gateway.use(`${squidLikeConf}${factsLog}shutdown_lifetime ${lifetime}\n`)
        await gateway.start()
        const { download, server } = await halfWay(lab)
        for (const word of words) expect((await gateway.control(word)).code).toBe(0)
        expect(await gateway.proxy.exited).toBe(0)
        expect(await download.exited).not.toBe(0)
        await server.stop()
        await lab.client.must('rm', '/run/download')
      }
      expect((await gateway.about('/gated', 3)).map(record => record.result)).toEqual(Array(3).fill('TCP_MISS_ABORTED'))
    }),
  )

  it('a second daemon with the same conf does not start, and does not disturb the first', () =>
    withLab(async lab => {
      const gateway = await Gateway.open(lab)
      const second = await lab.gateway.run(glassquid, '-f', confPath)
      expect([second.code, second.stderr]).toEqual([1, expect.stringMatching(/^FATAL: glassquid is already running! Process ID \d+/m)])
      expect((await gateway.control('check')).code).toBe(0)
      expect((await curl(lab, '-4', `http://origin.lab:${natPort}/`)).status).toBe(503)
    }),
  )
})

/** One request on a connection that is then left alone; tells what came, and when it is closed. */
const keepsOpen = `
  const [host, port] = process.argv.slice(1)
  const s = require('net').connect(Number(port), host)
  s.write('GET http://gateway.lab:1/ HTTP/1.1\\r\\nHost: gateway.lab:1\\r\\n\\r\\n')
  s.on('data', d => console.log(String(d).split('\\n')[0])).on('close', () => console.log('closed')).on('error', () => {})
`
