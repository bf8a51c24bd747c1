import { assert, Bug } from '../base/index.ts'
import { isFieldValue, isToken, targetByte } from './characters.ts'
import { reasonPhrase } from './status.ts'

// Heads as they go out: latin1 strings, one field per line. Names, values and targets are checked here once more,
// wherever they came from: a CR or LF that slipped in would be a message of its own. That would be our bug, so it is
// one: what peers and users wrote was checked when it came in.

/** Field lines, each with its CRLF; `pairs` as name, value, name, value ... */
export const fieldLines = (pairs: readonly string[]): string => {
  let text = ''
  for (let i = 0; i + 1 < pairs.length; i += 2) {
    const name = pairs[i] as string // within by the loop
    const value = pairs[i + 1] as string
    if (!isToken(name)) throw new Bug('does not hold: a field name that is sent is a token')
    if (!isFieldValue(value)) throw new Bug(`does not hold: the value of ${name} has no control or wide character`)
    text += `${name}: ${value}\r\n`
  }
  return text
}

/** The head of a request, with its empty line. */
export const requestHeadText = (method: string, target: string, pairs: readonly string[], versionMinor = 1): string => {
  assert(isToken(method), 'a method that is sent is a token')
  assert(isTarget(target), 'a target that is sent has no space, control or wide character')
  return `${method} ${target} HTTP/1.${versionMinor}\r\n${fieldLines(pairs)}\r\n`
}

/** The head of a response, with its empty line. Always HTTP/1.1: the sender's version (RFC 9110 2.5). */
export const responseHeadText = (
  status: number,
  reason: string = reasonPhrase(status),
  pairs: readonly string[] = [],
): string => `${statusLine(status, reason)}${fieldLines(pairs)}\r\n`

export const statusLine = (status: number, reason: string = reasonPhrase(status)): string => {
  assert(Number.isInteger(status) && status >= 100 && status <= 999, 'a status that is sent has three digits')
  assert(isFieldValue(reason), 'a reason phrase that is sent has no control or wide character')
  return `HTTP/1.1 ${status} ${reason}\r\n`
}

/** A request target that may be sent. */
export const isTarget = (text: string): boolean => {
  if (text === '') return false
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (c > 127 || targetByte[c] === 0) return false
  }
  return true
}
