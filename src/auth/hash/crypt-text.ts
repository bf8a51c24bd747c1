const digits = './0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/** crypt(3)'s base 64: three bytes as `count` digits, the lowest first. */
export const cryptText = (a: number, b: number, c: number, count: number): string => {
  let rest = (a << 16) | (b << 8) | c
  let text = ''
  for (let i = 0; i < count; i++, rest >>= 6) text += digits.charAt(rest & 63)
  return text
}

/** `bytes` repeated until there are `length` of them. */
export const stretched = (bytes: Buffer, length: number): Buffer => {
  const whole = Buffer.alloc(length)
  for (let at = 0; at < length; at += bytes.length) bytes.copy(whole, at)
  return whole
}
