import type { AddedField, FieldText } from '../config.ts'
import type { Line } from '../line.ts'
import { readUses } from './access.ts'
import { lines, needWord } from './kinds.ts'

// `FIELD TEXT` and `FIELD "TEXT" [!]acl ...`: what fields of requests and responses become.

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

const fieldName = (line: Line): string | undefined => {
  const word = needWord(line, 'a field name')
  if (word === undefined) return undefined
  const name = word.text.replace(/:$/, '')
  if (token.test(name)) return name
  line.fatal(`${line.name}: '${word.text}' is no field name`, word)
  return undefined
}

/** A field line is one line: whoever can put another into it writes fields of his own. */
const isFieldText = (text: string): boolean => !/[\0-\x08\x0a-\x1f\x7f]/.test(text)

export const fieldTexts = lines('FIELD TEXT', (line): FieldText | undefined => {
  const at = line.at()
  const name = fieldName(line)
  if (name === undefined) return undefined
  const rest = line.rest()
  if (rest.text === '') line.fatal(`${line.name} needs the text of the field`)
  else if (!isFieldText(rest.text)) line.fatal(`${line.name}: this cannot be the text of a field`, rest)
  else return { name, value: rest.text, text: line.read, at }
  return undefined
})

export const addedFields = lines('FIELD TEXT|"TEXT" [[!]ACL ...]', (line): AddedField | undefined => {
  const at = line.at()
  const name = fieldName(line)
  if (name === undefined) return undefined
  const word = line.quotable()
  if (word === null) line.fatal(`${line.name} needs the text of the field`)
  else if (!isFieldText(word.text)) line.fatal(`${line.name}: this cannot be the text of a field`, word)
  else return { name, value: word.text, isFormat: word.quoted, acls: readUses(line, 'fast'), text: line.read, at }
  return undefined
})
