import type { Fields } from './fields.ts'
import { trimmed } from './lists.ts'

// Via (RFC 9110 7.6.3): [protocol-name "/"] version, received-by, optional comment; one member for each hop.

export interface ViaMember {
  /** `1.1`, or `FSTR/2` where the protocol is not HTTP. */
  readonly protocol: string
  /** Host with port, or a pseudonym. */
  readonly receivedBy: string
  readonly comment: string
}

/** The members that can be read. Commas inside comments do not separate; they nest (RFC 9110 5.6.5). */
export const parseVia = (text: string): ViaMember[] => {
  const members: ViaMember[] = []
  for (let i = 0; i <= text.length; ) {
    const end = viaEnd(text, i)
    const member = readMember(trimmed(text, i, end))
    if (member !== null) members.push(member)
    i = end + 1
  }
  return members
}

const viaEnd = (text: string, from: number): number => {
  let depth = 0
  let i = from
  for (; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (c === 44 && depth === 0) return i
    if (c === 40) depth++
    else if (c === 41 && depth > 0) depth--
    else if (c === 92 && depth > 0) i++
  }
  return i
}

const readMember = (text: string): ViaMember | null => {
  const space = text.search(/[ \t]/)
  if (space < 0) return null
  const rest = trimmed(text, space, text.length)
  const byEnd = rest.search(/[ \t(]/)
  const receivedBy = byEnd < 0 ? rest : rest.slice(0, byEnd)
  return { protocol: text.slice(0, space), receivedBy, comment: byEnd < 0 ? '' : trimmed(rest, byEnd, rest.length) }
}

/** The request has passed `name` already: a loop. Names of hosts are compared without case. */
export const viaNames = (fields: Fields, name: string): boolean => {
  const value = fields.joined('via')
  if (value === undefined) return false
  const lower = name.toLowerCase()
  return parseVia(value).some(member => member.receivedBy.toLowerCase() === lower)
}

/** The member for this hop. */
export const viaText = (versionMinor: number, name: string, comment = ''): string =>
  comment === '' ? `1.${versionMinor} ${name}` : `1.${versionMinor} ${name} (${comment})`

/** Adds this hop behind the others, in one line. */
export const appendVia = (fields: Fields, versionMinor: number, name: string, comment = ''): void => {
  const before = fields.joined('via')
  const member = viaText(versionMinor, name, comment)
  fields.set('Via', before === undefined || before === '' ? member : `${before}, ${member}`)
}
