import type { Finding, Look } from './detector.ts'

/** Longer request lines are not looked for. */
const lineBytesMax = 8192

/** RFC 9110 9.1: a method is a token. */
const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

/** Methods have names people can type; the longest registered one has 17 letters. */
const methodBytesMax = 32

/** A request line of HTTP/1: `METHOD target HTTP/1.x`. Empty lines before it are allowed (RFC 9112 2.2). */
export const looksLikeHttp: Look = bytes => {
  let start = 0
  while (bytes[start] === 13 || bytes[start] === 10) start++
  if (start > 4) return 'no'
  const end = bytes.indexOf(10, start)
  if (end >= 0) return wholeLine(bytes.toString('latin1', start, end))
  return bytes.length - start > lineBytesMax ? 'no' : beginning(bytes.toString('latin1', start))
}

const wholeLine = (line: string): Finding => {
  const [method = '', target = '', version = '', ...more] = line.replace(/\r$/, '').split(' ')
  return isMethod(method) && target !== '' && /^HTTP\/1\.[01]$/.test(version) && more.length === 0 ? 'match' : 'no'
}

const beginning = (line: string): Finding => {
  if (line === '') return 'undecided'
  const [method = '', target, version, ...more] = line.split(' ')
  if (!isMethod(method) || more.length > 0) return 'no'
  if (target === '' && version !== undefined) return 'no'
  if (version === undefined) return /[^\x21-\x7e\x80-\xff]/.test(target ?? '') ? 'no' : 'undecided'
  return /^(H(T(T(P(\/(1(\.([01]\r?)?)?)?)?)?)?)?)?$/.test(version) ? 'undecided' : 'no'
}

const isMethod = (text: string): boolean => text.length <= methodBytesMax && token.test(text)
