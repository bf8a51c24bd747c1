import { describe, expect, it } from 'vitest'
import { type Ask, type Made, noSquid, withPair } from './pair.ts'

// `http://user:password@host/` to a forward port does in glassquid what it does in Squid 5.7: it becomes Authorization, and
// what is fetched with it is for nobody else. What differs on purpose stands with its case.

const at = (user: string, path: string, fields: Ask['fields'] = []): Ask => ({ client: '127.0.0.2', target: `http://${user}good.test:{port}${path}`, fields })
const fresh = 'h=Cache-Control:%20max-age=100'
const shared = 'h=Cache-Control:%20public,%20max-age=100'

const seen = ({ status, result, asked }: Made) => ({
  status,
  hit: result.includes('HIT'),
  login: asked?.filter(line => /^authorization: /i.test(line)) ?? null,
  host: asked?.filter(line => /^host: /i.test(line)).map(line => line.replace(/\d+$/, '')) ?? null,
})

/** Asked one after the other, of one cache. */
const same: readonly (readonly [what: string, asks: readonly Ask[]])[] = [
  ['a name and a password', [at('user:pass@', '/a'), at('user:@', '/a'), at(':pass@', '/a'), at('@', '/a'), at('u:a:b@', '/a')]],
  ['encoded', [at('u:p%40x@', '/b'), at('u%20v:p%2Fq%3A@', '/b'), at('u:%E4@', '/b')]],
  ['beside Authorization', [at('u:p@', '/c', [['Authorization', 'Bearer t']]), at('u:p@', '/c', [['Authorization', 'Basic eDp5']])]],
  ['is for nobody else', [at('u:p@', `/d?${fresh}`), at('v:q@', `/d?${fresh}`), at('', `/d?${fresh}`), at('', `/d?${fresh}`)]],
  ['unless the origin says so', [at('u:p@', `/e?${shared}`), at('v:q@', `/e?${shared}`), at('', `/e?${shared}`)]],
  ['what everybody may have', [at('', `/f?${fresh}`), at('u:p@', `/f?${fresh}`), at('', `/f?${fresh}`)]],
  ['without a host', [at('u:p@/', '')].map(ask => ({ ...ask, target: 'http://u:p@/x' }))],
]

describe.skipIf(noSquid !== null)(`user information ${noSquid ?? ''}`, () => {
  it('as in Squid', { timeout: 60_000 }, () =>
    withPair('http_access allow all\n', async pair => {
      for (const [what, asks] of same) {
        for (const ask of asks) {
          const [squid, ours] = [await pair.squid(ask), await pair.glassquid(ask)]
          expect(seen(ours), `${what}: ${JSON.stringify(ask)}`).toEqual(seen(squid))
        }
      }
    }))

  it('otherwise than Squid', { timeout: 60_000 }, () =>
    withPair('http_access allow all\n', async pair => {
      const both = async (ask: Ask) => [seen(await pair.squid(ask)), seen(await pair.glassquid(ask))].map(made => (made.login === null ? made.status : made.login))
      // Basic without a colon is none (RFC 7617 2): an empty password, as curl and wget say it
      expect(await both(at('user@', '/a'))).toEqual([['authorization: Basic dXNlcg=='], ['authorization: Basic dXNlcjo=']])
      // whose reader takes which @ for the last is not left to him
      expect(await both(at('a@b@', '/a'))).toEqual([['authorization: Basic YUBi'], 400])
      // a name that ends elsewhere than it seems
      expect(await both(at('a%3Ab:c@', '/a'))).toEqual([['authorization: Basic YTpiOmM='], 400])
    }))
})
