/** Some bits of a mark. Each from 0 to 0xffffffff. */
export interface MaskedMark {
  readonly value: number
  readonly mask: number
}

/** `MARK` or `MARK/MASK`, decimal, 0x or octal as strtoul reads them; null = it is none. */
export const maskedMark = (text: string): MaskedMark | null => {
  const [mark = '', mask = '0xffffffff', ...more] = text.split('/')
  const read = [markOf(mark), markOf(mask)] as const
  if (read[0] === null || read[1] === null || more.length > 0) return null
  return { value: read[0], mask: read[1] }
}

const markOf = (text: string): number | null => {
  const radix = /^0x[0-9a-f]+$/i.test(text) ? 16 : /^0[0-7]+$/.test(text) ? 8 : /^(0|[1-9]\d*)$/.test(text) ? 10 : null
  if (radix === null) return null
  const number = Number.parseInt(text, radix)
  return number <= 0xffffffff ? number : null
}
