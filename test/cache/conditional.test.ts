import { expect, test } from 'vitest'
import { type ConditionReason, conditionOf, conditionReasons } from '../../src/cache/index.ts'
import { type Case, dateAt, fieldsOf, storedOf } from './kit.ts'

// Guards RFC 9111 4.3.2 and RFC 9110 13: a client's conditions answered from the store. Sees it in kind and reason.

const hour = 'Cache-Control: max-age=3600'
const tag = 'ETag: "a"'
const modified = `Last-Modified: ${dateAt(-100)}`
const both: Case = { response: [hour, tag, modified] }
const weak: Case = { response: [hour, 'ETag: W/"a"'] }
const dated: Case = { response: [hour, modified] }
const bare: Case = { response: [hour] }
const old: Case = { response: [hour, `Date: ${dateAt(-30)}`] }

test.each<[string, Case, string[], ConditionReason]>([
  ['no condition', both, [], 'none'],
  ['its tag', both, ['If-None-Match: "a"'], 'tag-named'],
  ['its tag, weak', both, ['If-None-Match: W/"a"'], 'tag-named'],
  ['a weak tag by a strong one', weak, ['If-None-Match: "a"'], 'tag-named'],
  ['its tag among others', both, ['If-None-Match: "x", "a", "y"'], 'tag-named'],
  ['its tag in a second line', both, ['If-None-Match: "x"', 'If-None-Match: "a"'], 'tag-named'],
  ['another tag', both, ['If-None-Match: "x"'], 'tag-differs'],
  ['a comma inside a tag does not make two', { response: [hour, 'ETag: "x,y"'] }, ['If-None-Match: "x,y"'], 'tag-named'],
  ['any tag', both, ['If-None-Match: *'], 'tag-named'],
  ['any tag, and there is none', bare, ['If-None-Match: *'], 'tag-named'],
  ['a tag, and there is none', bare, ['If-None-Match: "a"'], 'tag-differs'],
  ['a list that cannot be read', both, ['If-None-Match: a'], 'tag-differs'],
  ['a tag goes before a date: named', both, ['If-None-Match: "a"', `If-Modified-Since: ${dateAt(-9999)}`], 'tag-named'],
  ['a tag goes before a date: not named', both, ['If-None-Match: "x"', `If-Modified-Since: ${dateAt(0)}`], 'tag-differs'],
  ['a later date', dated, [`If-Modified-Since: ${dateAt(-99)}`], 'not-modified'],
  ['the very date', dated, [`If-Modified-Since: ${dateAt(-100)}`], 'not-modified'],
  ['a second earlier', dated, [`If-Modified-Since: ${dateAt(-101)}`], 'modified'],
  ['a date in the future', dated, [`If-Modified-Since: ${dateAt(9999)}`], 'not-modified'],
  ['no Last-Modified: Date stands in', bare, [`If-Modified-Since: ${dateAt(0)}`], 'not-modified'],
  ['no Last-Modified, a second before Date', bare, [`If-Modified-Since: ${dateAt(-1)}`], 'modified'],
  ['no Last-Modified: the Date it came with, not when it came', old, [`If-Modified-Since: ${dateAt(-30)}`], 'not-modified'],
  ['no Last-Modified, a second before its old Date', old, [`If-Modified-Since: ${dateAt(-31)}`], 'modified'],
  ['no date', dated, ['If-Modified-Since: yesterday'], 'bad-date'],
  ['two dates', dated, [`If-Modified-Since: ${dateAt(0)}`, `If-Modified-Since: ${dateAt(0)}`], 'bad-date'],
  ['a stored 404', { status: 404, response: [hour, tag] }, ['If-None-Match: "a"'], 'not-for-status'],
  ['a stored redirect', { status: 301, response: [hour, modified] }, [`If-Modified-Since: ${dateAt(0)}`], 'not-for-status'],
])('%s', (_, c, request, reason) => {
  expect(conditionOf(storedOf(c), fieldsOf(...request))).toEqual({ kind: conditionReasons[reason].kind, reason })
})
