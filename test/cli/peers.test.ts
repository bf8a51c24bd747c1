// What is found in a conf about its peers when their lines are taken together.

import { describe, expect, it } from 'vitest'
import { examined } from '../../src/cli/load-conf.ts'
import { parseConf, systemWorld } from '../../src/conf/index.ts'

const found = (conf: string): string[] => {
  const world = { ...systemWorld(), readFile: () => `http_port 3128\nhttp_access deny all\n${conf}` }
  return examined(parseConf({ file: 'x.conf' }, world)).found.map(({ severity, at, message }) => `${severity} ${at.line}: ${message}`)
}

describe('peers of a conf', () => {
  it.each([
    ['nothing is wrong', 'cache_peer a parent 3128 0 no-query\ncache_peer_access A allow all\nnever_direct allow all', []],
    ['a name twice, in any letters', 'cache_peer a parent 3128 0 no-query\ncache_peer A parent 3129 0 no-query', ['fatal 4: cache_peer A specified twice']],
    ['the same host twice, with names', 'cache_peer a parent 3128 0 no-query\ncache_peer a parent 3129 0 no-query name=b', []],
    ['a rule for nobody', 'cache_peer a parent 3128 0 no-query\ncache_peer_access b deny all', ["warning 4: cache_peer_access: there is no cache_peer 'b'"]],
    ['a domain for nobody', 'neighbor_type_domain b parent .org', ["warning 3: neighbor_type_domain: there is no cache_peer 'b'"]],
    ['a parent to be asked by ICP, without a port of ours', 'cache_peer a parent 3128 3130', ['warning 3: cache_peer a is not asked by ICP, since icp_port is 0']],
    ['a sibling', 'cache_peer a sibling 3128 3130', ['warning 3: cache_peer a is not asked by ICP, since icp_port is 0, and a sibling is used for nothing else']],
    ['with a port', 'icp_port 3130\ncache_peer a sibling 3128 3130', []],
    ['only peers, and there are none', 'never_direct allow all', ['warning 3: never_direct, and there is no cache_peer: what it allows is answered with 503']],
    ['only peers for nobody', 'never_direct deny all', []],
  ])('%s', (_, conf, problems) => expect(found(conf)).toEqual(problems))

  it('a certificate that is not there', () => {
    expect(found('cache_peer a parent 443 0 no-query tls sslcert=/none.pem')).toEqual([expect.stringMatching(/^fatal 3: TLS towards servers cannot be set up: /)])
  })
})
