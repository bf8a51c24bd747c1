// What only the bytes show: the same conf and the same requests for Squid 5.7 and for us, before an origin that notes
// everything it is sent, and a client that sees whether its connection is kept.

import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ms, sleep, systemClock } from '../../src/base/index.ts'
import { rawOrigin } from '../support/origin.ts'
import { type RunningProxy, startProxy } from '../support/proxy.ts'
import { exchange, noSquid, startSquid } from './pair.ts'

const common = `visible_hostname proxy.test\nunique_hostname proxy.test\npid_filename none\nshutdown_lifetime 0 seconds\ncache_mem 16 MB\ndns_nameservers 127.0.0.1\n`

/** What was behind the head of each request, as the origin read it, and what each client was answered. */
interface Told {
  readonly contents: readonly string[]
  readonly answers: readonly string[]
}

/** Answers when the content of known length, or the last chunk, has come, and a moment has passed. */
const notingOrigin = async () => {
  const contents: string[] = []
  const origin = await rawOrigin(socket => {
    const at = contents.push('') - 1
    let text = ''
    let answered = false
    socket.on('error', () => {}).on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      const end = text.indexOf('\r\n\r\n')
      if (end < 0) return
      contents[at] = text.slice(end + 4)
      const length = Number(/^Content-Length: (\d+)/im.exec(text)?.[1] ?? 0)
      const whole = /^Transfer-Encoding/im.test(text) ? text.endsWith('0\r\n\r\n') : text.length - end - 4 >= length
      if (!whole || answered) return
      answered = true
      void sleep(systemClock, ms(50)).then(() => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'))
    })
  })
  return { contents, port: origin.port, close: origin.close }
}

const both = async (conf: (folder: string) => string, requests: (port: number) => readonly string[]): Promise<{ readonly squid: Told; readonly ours: Told }> => {
  const folder = mkdtempSync(join(tmpdir(), 'glassquid-wire-'))
  chmodSync(folder, 0o755)
  const log = mkdtempSync(join(tmpdir(), 'glassquid-wire-squid-'))
  chmodSync(log, 0o777)
  const origin = await notingOrigin()
  const text = `${common}${conf(folder)}`
  const squid = await startSquid(log, text)
  let proxy: RunningProxy | null = null
  try {
    proxy = await startProxy(`http_port 127.0.0.1:0 name=p\n${text.replace(/^(visible_hostname|pid_filename|shutdown_lifetime) .*\n/gm, '')}`)
    const toldBy = async (port: number): Promise<Told> => {
      const before = origin.contents.length
      const answers: string[] = []
      for (const request of requests(origin.port)) answers.push(await exchange(port, '127.0.0.1', request))
      return { contents: origin.contents.slice(before), answers }
    }
    return { squid: await toldBy(squid.port), ours: await toldBy(proxy.port('p')) }
  } finally {
    await proxy?.stop()
    await squid.stop()
    await origin.close()
    rmSync(folder, { recursive: true, force: true })
    rmSync(log, { recursive: true, force: true })
  }
}

const request = (method: string, port: number, path: string, lines: readonly string[], content = ''): string =>
  `${method} http://127.0.0.1:${port}${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n${lines.map(line => `${line}\r\n`).join('')}\r\n${content}`

describe.skipIf(noSquid !== null)('on the wire the same as Squid', () => {
  it('broken_posts: two bytes behind content of known length, whatever the method', async () => {
    const close = 'Connection: close'
    const { squid, ours } = await both(
      () => 'acl stuck urlpath_regex ^/stuck\nbroken_posts allow stuck\nhttp_access allow all\n',
      port => [
        request('POST', port, '/stuck', ['Content-Length: 5', close], 'hello'),
        request('PUT', port, '/stuck', ['Content-Length: 5', close], 'hello'),
        request('DELETE', port, '/stuck', ['Content-Length: 5', close], 'hello'),
        request('POST', port, '/stuck', ['Content-Length: 0', close]),
        request('GET', port, '/stuck', [close]),
        request('POST', port, '/other', ['Content-Length: 5', close], 'hello'),
      ],
    )
    expect(ours.contents).toEqual(squid.contents)
    expect(ours.contents).toEqual(['hello\r\n', 'hello\r\n', 'hello\r\n', '', '', 'hello'])
  })

  it('auth_param keep_alive: whether the connection of a first question is kept', async () => {
    for (const word of ['on', 'off']) {
      const { squid, ours } = await both(
        folder => {
          writeFileSync(join(folder, 'helper'), '#!/bin/sh\nwhile read -r verb blob; do echo "TT token=TU9SRQ=="; done\n', { mode: 0o755 })
          writeFileSync(join(folder, 'basic'), '#!/bin/sh\nwhile read -r user; do echo ERR; done\n', { mode: 0o755 })
          return `auth_param negotiate program ${folder}/helper\nauth_param negotiate children 2 startup=1\nauth_param negotiate keep_alive ${word}
auth_param basic program ${folder}/basic\nauth_param basic realm r\nacl users proxy_auth REQUIRED\nhttp_access allow users\nhttp_access deny all\n`
        },
        // a second request on a connection that is kept says that it is the last
        port => ['', 'Proxy-Authorization: Basic YTpi', 'Proxy-Authorization: Negotiate SEVMTE8='].map(line =>
          request('GET', port, '/', line === '' ? [] : [line]) + request('GET', port, '/', ['Connection: close'])),
      )
      const asked = ({ answers }: Told): string[] => answers.map(text => `${text.split('HTTP/1.1 407 ').length - 1} ${[...text.matchAll(/^Proxy-Authenticate: (\S+)/gim)].map(([, scheme]) => scheme).join()}`)
      expect(asked(ours)).toEqual(asked(squid))
      expect(asked(ours)).toEqual(
        word === 'on'
          ? ['2 Negotiate,Basic,Negotiate,Basic', '2 Negotiate,Basic,Negotiate,Basic', '2 Negotiate,Negotiate,Basic']
          : ['1 Negotiate,Basic', '1 Negotiate,Basic', '2 Negotiate,Negotiate,Basic'],
      )
    }
  })
})
