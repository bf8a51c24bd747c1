import { piWords } from './pi.ts'

// bcrypt (Provos and Mazières, 1999), as htpasswd -B writes it: $2y$COST$ and 53 letters. Blowfish, whose key is expanded
// 2^COST times, encrypts one text 64 times.

const rounds = 16
const subkeys = rounds + 2
const boxWords = 1024
/** "OrpheanBeholderScryDoubt" */
const text = [0x4f727068, 0x65616e42, 0x65686f6c, 0x64657253, 0x63727944, 0x6f756274]

let initial: Uint32Array | null = null

/** Subkeys and boxes of one key; `left` and `right` are the block last encrypted. */
class Blowfish {
  readonly p: Uint32Array
  readonly s: Uint32Array
  left = 0
  right = 0

  constructor() {
    initial ??= piWords(subkeys + boxWords)
    this.p = initial.slice(0, subkeys)
    this.s = initial.slice(subkeys)
  }

  encrypt(): void {
    const { p, s } = this
    let left = this.left
    let right = this.right
    for (let i = 0; i < rounds; i += 2) {
      left ^= p[i] as number // all of these are within
      right ^= ((((s[left >>> 24] as number) + (s[256 + ((left >>> 16) & 255)] as number)) ^ (s[512 + ((left >>> 8) & 255)] as number)) + (s[768 + (left & 255)] as number)) | 0
      right ^= p[i + 1] as number
      left ^= ((((s[right >>> 24] as number) + (s[256 + ((right >>> 16) & 255)] as number)) ^ (s[512 + ((right >>> 8) & 255)] as number)) + (s[768 + (right & 255)] as number)) | 0
    }
    this.left = right ^ (p[rounds + 1] as number)
    this.right = left ^ (p[rounds] as number)
  }

  /** ExpandKey: `salt` null is one of zeros. */
  expand(key: Uint32Array, salt: Uint32Array | null): void {
    const { p, s } = this
    for (let i = 0; i < subkeys; i++) p[i] = (p[i] as number) ^ (key[i % key.length] as number)
    this.left = 0
    this.right = 0
    let at = 0
    for (const words of [p, s]) {
      for (let i = 0; i < words.length; i += 2) {
        if (salt !== null) {
          this.left ^= salt[at] as number
          this.right ^= salt[at + 1] as number
          at = (at + 2) & 3
        }
        this.encrypt()
        words[i] = this.left
        words[i + 1] = this.right
      }
    }
  }
}

/** Costs beyond this take longer than anybody waits. */
export const costMax = 14

/** The whole hash of `password`, or null where the cost is too high. `salt` are 22 letters of its own base64. */
export const bcrypt = (password: Buffer, version: string, cost: number, salt: string): string | null => {
  if (cost < 4 || cost > costMax) return null
  const key = keyWords(password)
  const saltBytes = fromText(salt)
  const saltWords = Uint32Array.from({ length: 4 }, (_, i) => saltBytes.readUInt32BE(4 * i))
  const cipher = new Blowfish()
  cipher.expand(key, saltWords)
  for (let n = 2 ** cost; n > 0; n--) {
    cipher.expand(key, null)
    cipher.expand(saltWords, null)
  }
  const out = Buffer.alloc(24)
  for (let block = 0; block < 6; block += 2) {
    cipher.left = text[block] as number
    cipher.right = text[block + 1] as number
    for (let n = 0; n < 64; n++) cipher.encrypt()
    out.writeUInt32BE(cipher.left >>> 0, 4 * block)
    out.writeUInt32BE(cipher.right >>> 0, 4 * block + 4)
  }
  return `$${version}$${String(cost).padStart(2, '0')}$${salt}${toText(out.subarray(0, 23))}`
}

/** 18 words of the password and its NUL, again and again; of more than 72 bytes the rest does not count. */
const keyWords = (password: Buffer): Uint32Array => {
  const bytes = Buffer.concat([password, Buffer.alloc(1)])
  return Uint32Array.from({ length: subkeys }, (_, i) => {
    let word = 0
    for (let b = 4 * i; b < 4 * i + 4; b++) word = (word << 8) | (bytes[b % bytes.length] as number)
    return word
  })
}

// The same letters as base64 in another order, and the same bits.

const letters = './ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'
const usual = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

const fromText = (words: string): Buffer => Buffer.from(words.replace(/./g, c => usual.charAt(letters.indexOf(c))), 'base64')
const toText = (bytes: Buffer): string => bytes.toString('base64').replace(/=/g, '').replace(/./g, c => letters.charAt(usual.indexOf(c)))
