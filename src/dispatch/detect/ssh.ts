import type { Look } from './detector.ts'

/** RFC 4253 4.2: 255 bytes with the line's end. */
const greetingBytesMax = 255

const prefixes = ['SSH-2.0-', 'SSH-1.99-'] as const

/** RFC 4253 4.2: `SSH-2.0-software comments CR LF`; 1.99 (section 5.1) may end in LF alone. */
export const looksLikeSsh: Look = bytes => {
  const end = bytes.indexOf(10)
  const text = bytes.toString('latin1', 0, end < 0 ? bytes.length : end + 1)
  if (end < 0) {
    const possible = prefixes.some(prefix => (text.length < prefix.length ? prefix.startsWith(text) : text.startsWith(prefix)))
    return possible && text.length < greetingBytesMax ? 'undecided' : 'no'
  }
  if (text.length > greetingBytesMax) return 'no'
  // software: printable, no blank, no hyphen; comments behind one blank, printable
  return /^SSH-(?:2\.0-[\x21-\x2c\x2e-\x7e]+(?: [\x20-\x7e]*)?\r\n|1\.99-[\x21-\x2c\x2e-\x7e]+(?: [\x20-\x7e]*)?\r?\n)$/.test(text) ? 'match' : 'no'
}
