import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { confText, diagnosticText, parseConf } from '../../src/conf/index.ts'

// Confs as people really wrote them, where a folder of them is at hand: GLASSQUID_CONF_CORPUS names it. Each file is
// read, or refused for a reason this list knows. Files they point to are not there and read as one harmless value.

const folder = process.env['GLASSQUID_CONF_CORPUS']
const there = folder !== undefined && existsSync(folder)

/** Files that must be refused, with words of the reason. */
const refused: Readonly<Record<string, readonly string[]>> = {
  'RubioApps__RubioGuard.conf': ['`{{your-lan-name}}` looks like an unfilled template placeholder'],
  'wiki__SquidAndWccp2.conf': ['ACL not found: Safe_ports', 'ACL not found: SSL_ports'],
  // a file to be included, without a port of its own
  'RubioApps__RubioGuard--squid_refresh_patterns.conf': ['No HTTP, HTTPS, or FTP ports configured'],
}

const world = {
  readFile: (path: string) =>
    there && path.startsWith(folder) ? readFileSync(path, 'utf8') : path.endsWith('.conf') ? '' : 'x.example\n',
  glob: () => [],
  env: {},
}

describe('a conf of the corpus', () => {
  const files = there ? readdirSync(folder).filter(f => f.endsWith('.conf')) : []
  if (files.length === 0) test.skip('is not at hand: GLASSQUID_CONF_CORPUS names no folder of confs', () => {})

  for (const file of files) {
    test(file, () => {
      const { config, diagnostics } = parseConf({ file: join(folder ?? '', file) }, world)
      const serious = diagnostics.filter(d => d.severity === 'fatal' || d.severity === 'error')
      expect(serious.map(d => d.message)).toEqual(refused[file] ?? [])
      for (const d of diagnostics) expect(diagnosticText(d)).toMatch(/\(\d+\): /)
      // seventy lines of remarks would be read by nobody
      expect(diagnostics.length).toBeLessThan(25)
      if (config === null) return
      const again = parseConf({ file: 'again', text: confText(config) }, world)
      expect(again.config && confText(again.config)).toBe(confText(config))
    })
  }
})
