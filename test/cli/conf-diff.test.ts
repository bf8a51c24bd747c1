// What a reload says it changed: lines as they were understood, never spellings, never secrets beyond the conf's own.

import { describe, expect, it } from 'vitest'
import { confDifference, waitingForRestart } from '../../src/cli/conf-diff.ts'
import { parseConf } from '../../src/conf/index.ts'

const world = { readFile: () => '', glob: () => [], env: {} }
const read = (text: string) => parseConf({ file: 'a', text: `http_port 3128\n${text}` }, world).draft

describe('the difference of two confs', () => {
  it.each([
    ['nothing', 'via on\n', 'via on\n', []],
    ['a comment and another spelling', 'cache_mem 1 GB\n', '# more\ncache_mem 1024 MB\n', []],
    ['a default said aloud', '', 'via on\n', []],
    ['a value', 'via off\n', 'via on\n', ['- via off', '+ via on']],
    ['a line more', 'http_access deny all\n', 'http_access allow localhost\nhttp_access deny all\n', ['+ http_access allow localhost']],
    ['a line less', 'refresh_pattern a 0 0% 0\nrefresh_pattern b 0 0% 0\n', 'refresh_pattern b 0 0% 0\n', ['- refresh_pattern a 0 0% 0']],
    [
      'the order',
      'http_access allow localhost\nhttp_access deny all\n',
      'http_access deny all\nhttp_access allow localhost\n',
      ['the same lines in another order'],
    ],
  ])('%s', (_, before, behind, difference) => {
    expect(confDifference(read(before), read(behind))).toEqual(difference)
  })

  it.each([
    ['what a running proxy follows', '', 'via off\nhttp_port 3129\ncache_mem 1 GB\n', []],
    ['what it cannot follow', 'workers 2\n', 'pid_filename /x/y.pid\nvia off\n', ['workers', 'pid_filename']],
    ['the same in other words', 'workers 2\numask 027\n', 'umask 027\nworkers 0x2\n', []],
  ])('waits for a restart: %s', (_, started, now, names) => {
    expect(waitingForRestart(read(started), read(now)).toSorted()).toEqual(names.toSorted())
  })

  it('shows no passwords', () => {
    expect(confDifference(read('cachemgr_passwd secret all\n'), read('cache_peer a parent 3128 0 login=user:secret\n')).join('\n')).not.toContain('secret')
  })

  it('is cut where nobody would read on', () => {
    const many = Array.from({ length: 100 }, (_, i) => `acl a${i} src 10.0.0.${i}\nhttp_access allow a${i}\n`).join('')
    const told = confDifference(read(''), read(many))
    expect(told).toHaveLength(41)
    expect(told.at(-1)).toMatch(/^\.\.\. and \d+ lines more$/)
  })
})
