import { createHash, timingSafeEqual } from 'node:crypto'
import { bcrypt } from './bcrypt.ts'
import { md5Crypt } from './md5-crypt.ts'
import { shaCrypt } from './sha-crypt.ts'

// Hashes of htpasswd and crypt(3). The cheap old ones are here too: people have them, and to refuse them would lock them out.

const kinds: readonly { readonly form: RegExp; readonly hashed: (password: Buffer, found: RegExpExecArray) => string }[] = [
  { form: /^\$(apr1|1)\$([^$]{0,8})\$[./0-9A-Za-z]{22}$/, hashed: (p, [, magic = '', salt = '']) => md5Crypt(p, magic, salt) },
  {
    form: /^\$([56])\$(?:rounds=(\d{1,9})\$)?([^$]{0,16})\$[./0-9A-Za-z]{43,86}$/,
    hashed: (p, [, id = '', rounds, salt = '']) => shaCrypt(p, id === '5' ? 'sha256' : 'sha512', salt, rounds === undefined ? null : Number(rounds)),
  },
  // of 22 letters of salt the last has two bits that count
  { form: /^\$(2[aby])\$(0[4-9]|1[0-4])\$([./A-Za-z0-9]{21}[.Oeu])[./A-Za-z0-9]{31}$/, hashed: (p, [, version = '', cost, salt = '']) => bcrypt(p, version, Number(cost), salt) ?? '' },
  { form: /^\{SHA\}[A-Za-z0-9+/]{27}=$/, hashed: p => `{SHA}${createHash('sha1').update(p).digest('base64')}` },
  { form: /^[0-9a-f]{32}$/, hashed: p => createHash('md5').update(p).digest('hex') },
]

export const knownHash = (hash: string): boolean => kinds.some(kind => kind.form.test(hash))

/** False for a hash of an unknown kind, too. `password` is latin1. */
export const verifyPassword = (hash: string, password: string): boolean => {
  for (const { form, hashed } of kinds) {
    const found = form.exec(hash)
    if (found === null) continue
    const made = Buffer.from(hashed(Buffer.from(password, 'latin1'), found), 'latin1')
    const wanted = Buffer.from(hash, 'latin1')
    return made.length === wanted.length && timingSafeEqual(made, wanted)
  }
  return false
}
