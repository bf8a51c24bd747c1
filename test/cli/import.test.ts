// `glassquid import`: what somebody who comes from Squid is told about each line of the conf they bring.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'

const folder = mkdtempSync(join(tmpdir(), 'glassquid-import-'))
afterAll(() => rmSync(folder, { recursive: true }))
const glassquid = new URL('../../bin/glassquid', import.meta.url).pathname

const importing = (conf: string, ...more: string[]) => {
  const file = join(folder, 'squid.conf')
  writeFileSync(file, conf)
  const ran = spawnSync(glassquid, ['import', file, ...more], { encoding: 'utf8' })
  return { code: ran.status, said: ran.stdout.replaceAll(`${folder}/`, ''), errors: ran.stderr }
}

const old = `http_port 3128 transparent
acl lan src 10.0.0.0/255.0.0.0
no_cache deny lan
hierarchy_stoplist cgi-bin ?
emulate_httpd_log on
redirect_program /usr/bin/squidGuard
http_access allow lan
http_access deny all
`

describe('a conf of an old Squid', () => {
  it('is told line by line', () => {
    const { code, said, errors } = importing(old)
    expect({ code, errors }).toEqual({ code: 0, errors: '' })
    const report = said.slice(0, said.indexOf('\nRemarks'))
    expect(report).toBe(`Works as it stands: 4 lines
  http_port (line 1)
  acl (line 2)
  http_access (lines 7, 8)

Read as something else: 3 lines
  no_cache (line 3) -> cache
  emulate_httpd_log (line 5) -> access_log ... common
  redirect_program (line 6) -> url_rewrite_program

Means nothing any more, and is left out: 1 line
  hierarchy_stoplist (line 4)
`)
    expect(said).toContain('This conf can be used')
  })

  it('can be had in the words of today, which read the same', () => {
    const { code, said } = importing(old, '--print')
    expect(code).toBe(0)
    expect(said).toMatch(/^cache deny lan$/m)
    expect(said).not.toContain('no_cache')
    expect(importing(said, '--print').said).toBe(said)
  })

  it('that cannot be used says which lines are to blame, also where only compiling them tells', () => {
    const { code, said } = importing(`${old}acl bad url_regex (\nhttp_acess allow all\nacl worse dstdomain "/nowhere/at/all"\n`)
    expect(code).toBe(1)
    expect(said).toContain('Must be changed first: 3 lines\n  acl (lines 9, 11)\n  http_acess (line 10)\n')
    expect(said).toContain('This conf cannot be used as it is')
  })

  it('that is not there is refused', () => {
    const ran = spawnSync(glassquid, ['import', join(folder, 'none')], { encoding: 'utf8' })
    expect(ran.status).toBe(1)
    expect(ran.stdout).toContain('FATAL')
  })
})
