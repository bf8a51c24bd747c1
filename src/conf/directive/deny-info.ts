import type { DenyInfoLine } from '../config.ts'
import type { Line } from '../line.ts'
import { lines, needWord } from './kinds.ts'

/** `PAGE|NNN:PAGE|URL|3xx:URL|TCP_RESET acl ...`. The ACLs may be defined below: they are names, nothing is asked here. */
export const denyInfoLines = lines('PAGE|NNN:PAGE|URL|3xx:URL|TCP_RESET ACL ...', (line): DenyInfoLine | null | undefined => {
  const at = line.at()
  const word = needWord(line, 'a page, a URL or TCP_RESET, and ACLs')
  if (word === undefined) return undefined
  const shown = shownBy(line, word.text)
  const acls: string[] = []
  for (let next = line.next(); next !== null; next = line.next()) {
    line.scope.acls.touch(next.text)
    acls.push(next.text)
  }
  if (shown === null) return undefined
  if (acls.length > 0) return { ...shown, acls, text: line.read, at }
  line.warning("deny_info line contains no ACL's, skipping")
  return null
})

const shownBy = (line: Line, word: string): Pick<DenyInfoLine, 'kind' | 'status' | 'target'> | null => {
  if (word === 'TCP_RESET') return { kind: 'reset', status: 0, target: '' }
  const coded = /^(\d+):(.*)$/s.exec(word)
  const status = Number(coded?.[1] ?? 0)
  const target = coded?.[2] ?? word
  const isUrl = target.includes(':')
  const refused = (message: string, hint = ''): null => {
    line.fatal(`deny_info: ${message}`, null, hint)
    return null
  }
  if (coded !== null && (status < 200 || status > 599)) return refused(`status ${status} is not valid on '${word}'`)
  if (status >= 300 && status < 400 && !isUrl) return refused(`status ${status} requires a URL on '${word}'`)
  if (coded !== null && (status < 300 || status >= 400) && isUrl) return refused(`status ${status} requires a template on '${word}'`)
  if (isUrl) return { kind: 'redirect', status, target }
  if (/^[A-Za-z0-9_.-]+$/.test(target)) return { kind: 'page', status, target }
  return refused(`'${target}' is no name of a page`, 'for example ERR_MY_PAGE, a file of error_directory')
}
