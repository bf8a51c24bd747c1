import type { BumpAction, BumpLine } from '../config.ts'
import type { Line, Word } from '../line.ts'
import { nearest } from '../nearest.ts'
import { readUses } from './access.ts'
import type { Kind } from './directive.ts'
import { needWord } from './kinds.ts'

// ssl_bump ACTION [!]ACL ... Three generations of Squid have had three sets of actions. Those of 3.1 (allow, deny) are
// read as the next one's; no two sets go together.

const actions: readonly BumpAction[] = ['splice', 'peek', 'stare', 'bump', 'terminate', 'client-first', 'server-first', 'none']

/** 3.1: the first is bumped at once, the second is left alone. */
const oldest: Readonly<Record<string, BumpAction>> = { allow: 'client-first', deny: 'none' }

export const bumpLines: Kind<readonly BumpLine[]> = {
  grammar: 'peek|stare|splice|bump|terminate [!]ACL ...',
  limits: '',
  initial: [],
  read(line, before) {
    const word = needWord(line, 'an action')
    if (word === undefined) return undefined
    const old = Object.hasOwn(oldest, word.text) ? oldest[word.text] : undefined
    const action = old ?? actions.find(one => one === word.text)
    if (action === undefined) return unknown(line, word)
    const other = before.find(one => one.old !== (old !== undefined))
    if (other !== undefined) {
      const was = other.text.split(/\s+/)[1] ?? ''
      line.fatal(`do not mix ${was} actions with ${word.text} actions. Update your ssl_bump rules.`, word, 'write splice or bump')
      return undefined
    }
    if (old !== undefined) line.note(`ssl_bump ${word.text} is read as ssl_bump ${action}`, word, `write ssl_bump ${old === 'none' ? 'splice' : 'bump'}`)
    const acls = readUses(line, 'slow')
    if (acls.length === 0) line.warning('ssl_bump line without an ACL: it is for everybody', null, `write ${line.read} all`)
    return [...before, { action, old: old !== undefined, acls, text: line.read, at: line.at() }]
  },
  write: value => value.map(one => one.text.replace(/^\S+\s*/, '')),
}

const unknown = (line: Line, word: Word): undefined => {
  const like = nearest(word.text, [...actions, ...Object.keys(oldest)])
  line.fatal(`${line.name}: unknown action '${word.text}'`, word, like === null ? `known are ${actions.join(', ')}` : `did you mean ${like}?`)
  return undefined
}
