import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

// The addons that are shipped are made of the sources that are shipped.

const folder = new URL('../../native/', import.meta.url)
const names = readdirSync(folder)
const inOrder = [...names.filter(name => name.endsWith('.h')), ...names.filter(name => name.endsWith('.cc'))]
const digest = createHash('sha256')
for (const name of inOrder) digest.update(readFileSync(new URL(name, folder)))
const sources = `sources ${digest.digest('hex').slice(0, 16)}`

describe.each(['linux-x64', 'linux-arm64'])('the addon for %s', name => {
  const file = new URL(`prebuilds/${name}.node`, folder)

  it('is there, and small', () => {
    expect(existsSync(file)).toBe(true)
    // arm64 has pages of up to 64 KB: its file is as many of them, filled or not
    expect(statSync(file).size).toBeLessThan(150 * 1024)
  })

  it('was built from these sources (else: native/build.sh --release, and once more with --cross arm64)', () => {
    expect(readFileSync(file).includes(sources)).toBe(true)
  })

  it('needs no library of the last ten years', () => {
    const wants = readFileSync(file, 'latin1').match(/GLIBC(?:XX)?_[0-9.]+/g) ?? []
    expect(wants.length).toBeGreaterThan(0)
    for (const want of wants) {
      const [, minor = '0', patch = '0'] = want.split('_')[1]?.split('.') ?? []
      if (want.startsWith('GLIBCXX')) expect(Number(minor) * 100 + Number(patch), want).toBeLessThanOrEqual(421)
      else expect(Number(minor), want).toBeLessThanOrEqual(28)
    }
  })
})
