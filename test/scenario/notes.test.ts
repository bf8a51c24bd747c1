// Annotations: what conf and helpers say of a request reaches the log, the ACLs behind it and other helpers. Seen in what
// is logged and in what origins are asked.

import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { ms } from '../../src/base/index.ts'
import { get, site, type Stage, stage, stageOf, until } from './scene.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'glassquid-notes-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const program = (name: string, text: string): string => {
  const path = join(folder, name)
  writeFileSync(path, `#!/bin/sh\n${text}\n`)
  chmodSync(path, 0o755)
  return path
}

const logged = (format: string): string => `logformat notes ${format}\naccess_log stdio:${join(folder, 'log')} logformat=notes\n`

const lines = async (proxy: Stage, count: number): Promise<string[]> => {
  await proxy.results(count)
  proxy.machine.rotate()
  const read = (): string[] => {
    try {
      return readFileSync(join(folder, 'log.0'), 'latin1').split('\n').slice(0, -1)
    } catch {
      return [] // not there yet
    }
  }
  await until(() => {
    proxy.clock.advance(ms(100))
    return read().length >= count
  }, 'lines of the log')
  return read()
}

it('a note line annotates what it matches, the first of a name, when the response is known', async () => {
  const web = await site(r => ({ status: r.url === '/gone' ? 404 : 200 }))
  const proxy = await stage(`acl gone http_status 404
note kind lost gone
note kind found
note place "a b"
note never x !all
note raw "%>Hs"
configuration_includes_quoted_values on
note said "%>Hs of %>rp"
configuration_includes_quoted_values off
${logged('%{kind}note|%{said}note|%{never}note|%{raw}note|%note')}`)
  await proxy.ask(get(web.port, '/'))
  await proxy.ask(get(web.port, '/gone'))
  expect(await lines(proxy, 2)).toEqual([
    'found|200%20of%20/|-|%>Hs|kind:%20found%0D%0Aplace:%20a%20b%0D%0Araw:%20%>Hs%0D%0Asaid:%20200%20of%20/%0D%0A',
    'lost|404%20of%20/gone|-|%>Hs|kind:%20lost%0D%0Aplace:%20a%20b%0D%0Araw:%20%>Hs%0D%0Asaid:%20404%20of%20/gone%0D%0A',
  ].map(line => line.replaceAll('%>', '%%3E')))
})

it('note ACLs of the log see note lines; annotations of a connection stay for its later requests', async () => {
  const web = await site(() => ({}))
  const proxy = await stageOf(`http_port 127.0.0.1:0 name=web
acl first urlpath_regex ^/first
acl tagged annotate_client seen=yes
acl here annotate_transaction mark=a mark+=b
acl seen note seen yes
acl two note two
note two 2 seen
http_access allow first tagged here
http_access allow all
logformat notes %>rp %{seen}note %{mark}note %{mark:;}note
access_log stdio:${join(folder, 'log')} logformat=notes two
`)
  const wire = await proxy.client()
  for (const path of ['/none', '/first', '/later']) await wire.send(get(web.port, path)).response()
  await proxy.ask(get(web.port, '/other'))
  await proxy.results(4)
  expect(await lines(proxy, 2)).toEqual(['/first yes a,b a;b', '/later yes - -'])
})

it('what helpers say beside their answer is noted, every value of a name, and told to the next helper', async () => {
  const web = await site(() => ({}))
  const group = program('group', 'while read -r l; do echo "OK group=staff group=sales clearance=low"; done')
  const rewrite = program('rewrite', 'while read -r url rest; do echo "OK asked=$rest clearance=high clt_conn_tag=known"; done')
  const proxy = await stageOf(`http_port 127.0.0.1:0 name=web
external_acl_type group %URI ${group}
acl members external group
acl sales note group sales
acl high note clearance high
acl tagged note clt_conn_tag known
url_rewrite_program ${rewrite}
url_rewrite_extras "%{group}note"
http_access allow members sales
adapted_http_access deny !high
adapted_http_access deny !tagged
adapted_http_access allow all
${logged('%{group}note %{asked}note %{clearance}note')}`)
  const answer = proxy.ask(get(web.port, '/'))
  let over = false
  void answer.finally(() => {
    over = true
  })
  await until(() => {
    proxy.clock.advance(ms(20))
    return over
  }, 'an answer')
  expect((await answer).status).toBe(200)
  expect(await lines(proxy, 1)).toEqual(['staff,sales staff,sales high'])
})

it('adapted_http_access decides about what a rewriter has made of a request', async () => {
  const web = await site(() => ({}))
  const rewrite = program('rewrite', 'while read -r url rest; do case "$url" in *move*) echo "OK rewrite-url=\\"${url%move*}blocked\\"";; *) echo ERR;; esac; done')
  const proxy = await stage(`acl blocked urlpath_regex ^/blocked
url_rewrite_program ${rewrite}
http_access2 deny blocked
`)
  const answers: number[] = []
  for (const path of ['/fine', '/move', '/blocked']) {
    const asked = proxy.ask(get(web.port, path)).then(({ status }) => answers.push(status))
    let over = false
    void asked.finally(() => {
      over = true
    })
    await until(() => {
      proxy.clock.advance(ms(20))
      return over
    }, 'an answer')
  }
  expect(answers).toEqual([200, 403, 403])
  expect(web.requests.map(r => r.url)).toEqual(['/fine'])
  expect(await proxy.results(3)).toEqual(['TCP_MISS/200', 'TCP_DENIED/403', 'TCP_DENIED/403'])
})
