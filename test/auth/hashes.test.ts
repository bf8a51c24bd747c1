// Password hashes are those of htpasswd and crypt(3). Seen by vectors of others, and beside openssl's own.

import { execFileSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { knownHash, PasswordHasher } from '../../src/auth/index.ts'
import { verifyPassword } from '../../src/auth/hash/verify.ts'

describe('published vectors', () => {
  it.each([
    ['{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=', 'password'],
    ['5f4dcc3b5aa765d61d8327deb882cf99', 'password'],
  ])('%s', (hash, password) => {
    expect(verifyPassword(hash ?? '', password ?? '')).toBe(true)
    expect(verifyPassword(hash ?? '', `${password} `)).toBe(false)
  })
})

describe('beside openssl', () => {
  const words = ['', 'a', 'secret', 'exactly sixteen!', 'longer than sixty-four bytes, which is where the blocks of the longer sums have their end', 'p\xe4ss']
  it.each(['-apr1', '-1', '-5', '-6'])('openssl passwd %s', kind => {
    for (const word of words) {
      for (const salt of [word === 'a' ? 'ab' : 'saltsalt']) {
        const hash = execFileSync('openssl', ['passwd', kind, '-salt', salt, '-stdin'], { input: Buffer.from(`${word}\n`, 'latin1') }).toString().trim()
        if (word === '' && !hash.startsWith('$')) continue // openssl has none for an empty line
        expect(knownHash(hash), hash).toBe(true)
        expect(verifyPassword(hash, word), hash).toBe(true)
        expect(verifyPassword(hash, `${word}x`), hash).toBe(false)
      }
    }
  })
})

it('a hash of an unknown kind lets nobody in', () => {
  for (const hash of ['', 'x', '$2y$05$abcdefghijklmnopqrstuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu', '$7$x$y', 'abJnggxhB/yWI']) {
    expect(knownHash(hash)).toBe(false)
    expect(verifyPassword(hash, '')).toBe(false)
    expect(verifyPassword(hash, hash)).toBe(false)
  }
})

it('the thread answers each question with its own answer, and begins again after it was stopped', async () => {
  const hasher = new PasswordHasher()
  const right = '5f4dcc3b5aa765d61d8327deb882cf99'
  const answers = await Promise.all(['password', 'x', 'password', 'y'].map(word => hasher.check(right, word)))
  expect(answers).toEqual([true, false, true, false])
  await hasher.stop()
  expect(await hasher.check(right, 'password')).toBe(true)
  const waiting = hasher.check(right, 'password')
  await hasher.stop()
  expect([true, null]).toContain(await waiting)
})
