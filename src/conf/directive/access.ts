import { aclTypes } from '../acl-types.ts'
import type { AccessLine, AclUse, ValueLine } from '../config.ts'
import type { Line } from '../line.ts'
import type { Kind } from './directive.ts'
import { lines, needWord } from './kinds.ts'

// `allow|deny [!]acl ...` and `VALUE [!]acl ...`. ACLs of a line are ANDed, left to right; the first line that matches
// decides. What holds when none matches belongs to the acl room.

/** Where the ACLs are looked at: 'fast' lists cannot wait for DNS or a helper. */
export type Speed = 'fast' | 'slow'

/** The ACLs at the end of a line. */
export const readUses = (line: Line, speed: Speed): AclUse[] => {
  const uses: AclUse[] = []
  for (let word = line.next(); word !== null; word = line.next()) {
    const use = line.scope.acls.use(word, line)
    uses.push(use)
    const definition = line.scope.acls.definition(use.name)
    if (speed === 'fast' && definition !== undefined && aclTypes[definition.type]?.slow) {
      line.warning(
        `${line.name} cannot wait: ACL '${use.name}' (${definition.type}) may not match here`,
        word,
        'use a type that needs no look-up',
      )
    }
  }
  return uses
}

/** undefined: refused. null: no ACL, so the line says nothing. */
export const readAccess = (line: Line, speed: Speed): AccessLine | null | undefined => {
  const word = needWord(line, "'allow' or 'deny' and ACLs")
  if (word === undefined) return undefined
  const action = word.text
  if (action !== 'allow' && action !== 'deny') {
    const lower = action.toLowerCase()
    line.fatal(
      `expecting 'allow' or 'deny', got '${action}'`,
      word,
      lower === 'allow' || lower === 'deny' ? `write '${lower}'` : '',
    )
    return undefined
  }
  const acls = readUses(line, speed)
  if (acls.length > 0) return { action, acls, text: line.read, at: line.at() }
  line.warning(
    "Access line contains no ACL's, skipping",
    null,
    `write '${line.name} ${action} all' if everything is meant`,
  )
  return null
}

export const accessList = (speed: Speed): Kind<readonly AccessLine[]> =>
  lines('allow|deny [!]ACL ...', line => readAccess(line, speed))

/** An access list for each of several things: a peer, a pool, a header field. */
export interface NamedAccessLine extends AccessLine {
  readonly subject: string
}

export const namedAccessList = (subject: string, speed: Speed): Kind<readonly NamedAccessLine[]> =>
  lines(`${subject} allow|deny [!]ACL ...`, line => {
    const word = needWord(line, subject)
    const access = word && readAccess(line, speed)
    return access ? { ...access, subject: word.text } : access
  })

/** `VALUE [!]ACL ...`, the first match gives the value; no ACL matches always. */
export const valueList = <T>(
  grammar: string,
  speed: Speed,
  readValue: (line: Line) => T | undefined,
  limits = '',
): Kind<readonly ValueLine<T>[]> =>
  lines(
    `${grammar} [[!]ACL ...]`,
    line => {
      const value = readValue(line)
      return value === undefined ? undefined : { value, acls: readUses(line, speed), text: line.read, at: line.at() }
    },
    limits,
  )
