// Password hashes are those of htpasswd and crypt(3). Seen by vectors of others, and beside openssl's own.

import { execFileSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { knownHash, PasswordHasher } from '../../src/auth/index.ts'
import { verifyPassword } from '../../src/auth/hash/verify.ts'

describe('published vectors', () => {
  it.each([
    ['{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=', 'password'],
    ['5f4dcc3b5aa765d61d8327deb882cf99', 'password'],
    // jBCrypt's
    ['$2a$06$DCq7YPn5Rq63x1Lad4cll.TV4S6ytwfsfvkgY8jIucDrjc8deX1s.', ''],
    ['$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe', 'a'],
    ['$2a$08$cfcvVd2aQ8CMvoMpP2EBfeodLEkkFJ9umNEfPD18.hUF62qqlC/V.', 'a'],
    // libxcrypt's
    ['$2y$05$abcdefghijklmnopqrstuuKcS.CYWVYVaLiiCKrrc0A5s3mGesJ9O', 'sesame'],
    ['$2b$04$......................w74bL5gU7LSJClZClCa.Pkz14aTv/XO', ''],
    ['$2y$10$LKM/yABCdef0123456789OQIg/97nmXO9opy/bddtPAiG5usEvdKe', 'p\xc3\xa4ss w\xc3\xb6rd'],
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

it('of a long password bcrypt sees 72 bytes', () => {
  const hash = '$2a$06$N9qo8uLOickgx2ZMRZoMyeNmtmSk5zap9r8DiB68fKgamcB0NpTTy'
  expect([72, 80].map(length => verifyPassword(hash, 'a'.repeat(length)))).toEqual([true, true])
  expect(verifyPassword(hash, 'a'.repeat(71))).toBe(false)
})

it('a hash of an unknown kind lets nobody in', () => {
  // more letters than bcrypt has, a version nobody writes, a cost for which nobody waits
  for (const hash of ['', 'x', `$2y$05$${'u'.repeat(54)}`, `$2x$05$${'u'.repeat(53)}`, `$2y$15$${'u'.repeat(53)}`, '$7$x$y', 'abJnggxhB/yWI']) {
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
