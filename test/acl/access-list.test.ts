import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type AccessFacts, compileAccessList, compileAcls, compileCondition, type Decision } from '../../src/acl/index.ts'
import { acl, factsOf, place, rule } from './kit.ts'

// Guards which line decides. The permutations are checked against an oracle written from Squid's documentation: the
// first line whose ACLs all match; else the opposite of the last line; else the directive's default.

const now = (answer: Decision | Promise<Decision>): Decision => {
  if (answer instanceof Promise) throw new Error('had to wait')
  return answer
}

const { acls } = compileAcls([acl('yes', 'method', 'GET'), acl('no', 'method', 'POST')])
const get = factsOf({ method: 'GET' })

describe('every list of up to three lines', () => {
  const actions = ['allow', 'deny']
  const conditions = ['yes', 'no', '!yes', '!no', 'yes no', 'yes yes', 'yes !no', 'no yes']
  const lines = actions.flatMap(action => conditions.map(condition => `${action} ${condition}`))
  const lists: string[][] = [[]]
  for (const a of lines) {
    lists.push([a])
    for (const b of lines) {
      lists.push([a, b])
      for (const c of lines) lists.push([a, b, c])
    }
  }

  const oracle = (list: readonly string[], otherwise: boolean): { readonly allowed: boolean; readonly line: number } => {
    let number = 0
    for (const line of list) {
      number++
      const [action, ...conditions] = line.split(' ')
      const holds = conditions.every(c => ({ yes: true, no: false, '!yes': false, '!no': true })[c])
      if (holds) return { allowed: action === 'allow', line: number }
    }
    const last = list[list.length - 1]
    return { allowed: last === undefined ? otherwise : last.startsWith('deny'), line: 0 }
  }

  test.each(['allow', 'deny'] as const)('default %s', otherwise => {
    for (const list of lists) {
      const compiled = compileAccessList(list.map((text, i) => rule(text, i + 1)), acls, otherwise)
      const expected = oracle(list, otherwise === 'allow')
      for (const decision of [now(compiled.check(get)), compiled.checkFast(get)]) {
        expect({ allowed: decision.allowed, line: decision.line?.line ?? 0 }, list.join(' / ')).toEqual(expected)
      }
    }
    expect(lists).toHaveLength(1 + 16 + 256 + 4096)
  })
})

describe('a decision says', () => {
  test('which line, and which ACL was tested last', () => {
    const list = compileAccessList([rule('deny yes no', 3), rule('allow yes !no', 4), rule('deny all', 5)], acls, 'deny')
    expect(now(list.check(get))).toMatchObject({ allowed: true, line: place(4), text: 'x.conf:4', lastAcl: 'no' })
  })

  test('that no line matched; the ACL tested last is the one that failed in the last line', () => {
    const list = compileAccessList([rule('allow no', 3), rule('allow yes no all', 4)], acls, 'allow')
    expect(now(list.check(get))).toMatchObject({ allowed: false, line: null, text: 'no line up to x.conf:4', lastAcl: 'no' })
  })

  test('nothing when there are no lines', () => {
    expect(now(compileAccessList([], acls, 'allow').check(get))).toMatchObject({ allowed: true, line: null, text: '', lastAcl: '' })
  })

  test('of a group which member was asked last, as Squid', () => {
    const { acls: table } = compileAcls([acl('g', 'method', 'GET'), acl('p', 'method', 'POST'), acl('any', 'any-of', 'p g'), acl('both', 'all-of', 'g p')])
    const last = (...lines: string[]) => {
      const decision = now(compileAccessList(lines.map((line, i) => rule(line, i + 1)), table, 'deny').check(get))
      return decision.lastTested(get)
    }
    expect(last('deny any')).toBe('g')
    expect(last('deny !both')).toBe('p')
    expect(last('allow both')).toBe('p')
    expect(last('deny g')).toBe('g')
  })

  test('the same object each time: deciding allocates nothing', () => {
    const list = compileAccessList([rule('allow yes')], acls, 'deny')
    expect(list.check(get)).toBe(list.check(get))
    const implicit = compileAccessList([rule('allow no')], acls, 'deny')
    expect(implicit.check(get)).toBe(implicit.checkFast(get))
  })
})

test('ACLs are asked left to right, and none behind the first mismatch', () => {
  let drawn = 0
  const { acls: counted } = compileAcls([acl('chance', 'random', '1/2'), acl('yes', 'method', 'GET'), acl('no', 'method', 'POST')], {
    random: () => {
      drawn++
      return 0
    },
  })
  const list = compileAccessList([rule('allow no chance'), rule('deny yes no chance'), rule('allow yes chance yes')], counted, 'deny')
  expect(now(list.check(get)).allowed).toBe(true)
  expect(drawn).toBe(1)
})

describe('ACLs that need a name', () => {
  const { acls: slow } = compileAcls([
    acl('inside', 'dst', '10.0.0.0/8'),
    acl('numbered', 'dstdomain', '.x.org'),
    acl('get', 'method', 'GET'),
    acl('both', 'all-of', 'inside get'),
    acl('either', 'any-of', 'inside get'),
  ])
  const asking = (addresses: readonly string[], host = 'h.example'): { readonly facts: AccessFacts; readonly asked: string[] } => {
    const facts = factsOf({ method: 'GET', host })
    const asked: string[] = []
    facts.names = {
      addressesOf: async name => {
        asked.push(name)
        return addresses
      },
      nameOf: async address => {
        asked.push(address)
        return 'www.x.org'
      },
    }
    return { facts, asked }
  }

  test('the list waits, goes on where it stopped, and asks once', async () => {
    const list = compileAccessList([rule('deny !get', 1), rule('deny inside', 2), rule('allow !inside get', 3)], slow, 'deny')
    const { facts, asked } = asking(['192.0.2.1'])
    const answer = list.check(facts)
    expect(answer).toBeInstanceOf(Promise)
    expect((await answer).text).toBe('x.conf:3')
    expect(asked).toEqual(['h.example'])
    expect(now(list.check(facts)).text).toBe('x.conf:3')
  })

  test('inside groups too', async () => {
    for (const [group, addresses, expected] of [
      ['both', ['10.1.2.3'], true],
      ['both', ['192.0.2.1'], false],
      ['either', ['192.0.2.1', '10.9.9.9'], true],
      ['either', ['192.0.2.1'], true],
      ['!both', ['192.0.2.1'], true],
    ] as const) {
      const list = compileAccessList([rule(`allow ${group}`), rule('deny all', 2)], slow, 'deny')
      expect((await list.check(asking(addresses).facts)).allowed, group).toBe(expected)
    }
  })

  test('what cannot be resolved does not match, and a failing look-up is no failure of the check', async () => {
    const list = compileAccessList([rule('deny inside', 1), rule('allow all', 2)], slow, 'deny')
    expect((await list.check(asking([]).facts)).text).toBe('x.conf:2')
    const facts = factsOf({ host: 'h.example' })
    facts.names = { addressesOf: () => Promise.reject(new Error('resolver is down')), nameOf: () => '' }
    expect((await list.check(facts)).text).toBe('x.conf:2')
  })

  test('an answer at hand needs no waiting; numeric hosts need no answer', () => {
    const list = compileAccessList([rule('deny inside', 1), rule('allow all', 2)], slow, 'deny')
    const facts = factsOf({ host: 'h.example' })
    facts.names = { addressesOf: () => ['10.0.0.1'], nameOf: () => '' }
    expect(now(list.check(facts)).text).toBe('x.conf:1')
    expect(now(list.check(factsOf({ host: '10.0.0.1' }))).text).toBe('x.conf:1')
    expect(now(list.check(factsOf({ host: '192.0.2.1' }))).text).toBe('x.conf:2')
    expect(now(list.check(factsOf({ host: '' }))).text).toBe('x.conf:2')
  })

  test('a pinned request goes to the original destination, so that counts, whatever the name says', () => {
    const list = compileAccessList([rule('deny inside', 1), rule('allow all', 2)], slow, 'deny')
    const { facts, asked } = asking(['192.0.2.1'])
    const pinned = Object.assign(factsOf({ host: 'h.example', localAddress: '10.0.0.1' }), { names: facts.names, pinned: true })
    expect(now(list.check(pinned)).text).toBe('x.conf:1')
    expect(asked).toEqual([])
  })

  test('a fast check does not wait: unknown does not match, `!` of it does (as Squid), and the next one knows', async () => {
    const list = compileAccessList([rule('deny inside', 1), rule('allow all', 2)], slow, 'deny')
    const negated = compileAccessList([rule('deny !inside', 1), rule('allow all', 2)], slow, 'deny')
    const { facts } = asking(['10.0.0.1'])
    expect(list.checkFast(facts).text).toBe('x.conf:2')
    expect(negated.checkFast(facts).text).toBe('x.conf:1')
    await facts.learn()
    expect(list.checkFast(facts).text).toBe('x.conf:1')
  })

  test('an answer for a former request never decides a later one', async () => {
    const list = compileAccessList([rule('deny inside', 1), rule('allow all', 2)], slow, 'deny')
    const facts = factsOf({ host: 'slow.example' })
    let answerSlow: (addresses: readonly string[]) => void = () => {}
    facts.names = {
      addressesOf: host => (host === 'slow.example' ? new Promise(resolve => { answerSlow = resolve }) : ['192.0.2.1']),
      nameOf: () => '',
    }
    expect(list.checkFast(facts).text).toBe('x.conf:2')
    facts.host = 'other.example'
    expect(now(list.check(facts)).text).toBe('x.conf:2')
    answerSlow(['10.0.0.1'])
    await facts.learn()
    expect(now(list.check(facts)).text).toBe('x.conf:2')
  })

  test('a numeric host also matches by its name; -n forbids that; nameless is `none`', async () => {
    const { acls: named } = compileAcls([acl('d', 'dstdomain', '.x.org'), acl('n', 'dstdomain', '-n .x.org'), acl('z', 'dstdomain', 'none')])
    const check = (name: string, facts: AccessFacts) => compileAccessList([rule(`allow ${name}`), rule('deny all')], named, 'deny').check(facts)
    expect((await check('d', asking([], '192.0.2.1').facts)).allowed).toBe(true)
    expect((await check('n', asking([], '192.0.2.1').facts)).allowed).toBe(false)
    expect((await check('d', asking([], 'h1.example').facts)).allowed).toBe(false)
    expect(now(check('z', factsOf({ host: '192.0.2.1' }))).allowed).toBe(true)
    expect(now(check('d', factsOf({ host: 'www.x.org' }))).allowed).toBe(true)
  })

  test('an ACL that never learns is refused instead of asked for ever', async () => {
    const facts = factsOf({ host: 'h.example' })
    // a clock that moves during the check makes every question a new one
    let t = 0
    Object.defineProperty(facts, 'now', { get: () => t++ })
    facts.names = { addressesOf: async () => [], nameOf: () => '' }
    const decision = await compileAccessList([rule('allow !inside')], slow, 'allow').check(facts)
    expect(decision).toMatchObject({ allowed: false, text: 'an ACL could not be decided' })
  })
})

test('a regex that runs out of steps lets nobody in, negated or not, waiting or not', () => {
  const { acls: stuck } = compileAcls([acl('stuck', 'url_regex', '^(a+)+\\1(a+)+\\1$')])
  const facts = factsOf({ uri: `${'a'.repeat(300)}!` })
  for (const text of ['allow stuck', 'allow !stuck', 'deny stuck']) {
    const list = compileAccessList([rule(text), rule('allow all', 2)], stuck, 'allow')
    expect(now(list.check(facts)).allowed, text).toBe(false)
    expect(list.checkFast(facts).allowed, text).toBe(false)
  }
  expect(compileCondition([{ name: 'stuck', negated: true }], stuck, place(1)).holds(facts)).toBe(false)
})

describe('what a list cannot use', () => {
  test('unknown ACLs are fatal; types that do not work yet are an error where they are used', () => {
    const { acls: table, problems } = compileAcls([acl('ext', 'snmp_community', 'helper'), acl('old', 'ident', 'me')])
    expect(problems).toEqual([])
    const list = compileAccessList([rule('deny nobody', 7), rule('deny ext', 8), rule('deny old', 9), rule('allow all', 10)], table, 'deny')
    expect(table.problems.map(p => [p.severity, p.at.line, p.message])).toEqual([
      ['fatal', 7, 'ACL not found: nobody'],
      ['error', 8, "ACL 'ext' cannot be used: type 'snmp_community' does not work (it is about SNMP requests, and there is no SNMP here)"],
    ])
    expect(now(list.check(get)).text).toBe('x.conf:10')
  })

  test('names know no case, and the built-in ones need no definition', () => {
    const list = compileAccessList([rule('deny LocalHost Connect', 1), rule('allow ALL', 2)], compileAcls([]).acls, 'deny')
    expect(now(list.check(factsOf({ clientAddress: '127.0.0.1', method: 'CONNECT' }))).text).toBe('x.conf:1')
    expect(now(list.check(factsOf({ clientAddress: '::1', method: 'CONNECT' }))).text).toBe('x.conf:1')
    expect(now(list.check(factsOf({ clientAddress: '127.0.0.2', method: 'CONNECT' }))).text).toBe('x.conf:2')
  })
})

describe('explain', () => {
  test('names the line, the ACLs that matched, and what they saw', async () => {
    const list = compileAccessList([rule('deny no', 1), rule('allow yes !no all', 2), rule('deny all', 3)], acls, 'deny')
    const explained = await list.explain(get)
    expect(explained.summary).toBe(
      'allowed by x.conf:2: allow yes !no all: matched yes (method GET) and !no (method GET) and all (client 192.0.2.1)',
    )
    expect(explained.steps.map(step => [step.at.line, step.matched, step.acls.map(a => `${a.acl} ${a.matched}`)])).toEqual([
      [1, false, ['no false']],
      [2, true, ['yes true', 'no true', 'all true']],
    ])
    expect(explained.decision).toBe(list.check(get))
  })

  test('says so when no line matched', async () => {
    expect((await compileAccessList([rule('allow no')], acls, 'deny').explain(get)).summary).toBe(
      'denied: the only line did not match, so the opposite of the last one holds (allow no)',
    )
    expect((await compileAccessList([], acls, 'deny').explain(get)).summary).toBe(
      "denied: there is no line, so the directive's default holds",
    )
  })
})

test('a condition of no ACL always holds', () => {
  expect(compileCondition([], acls, place(1)).holds(get)).toBe(true)
  expect(compileCondition([{ name: 'no', negated: false }], acls, place(1)).holds(get)).toBe(false)
  expect(compileCondition([{ name: 'no', negated: true }, { name: 'yes', negated: false }], acls, place(1)).holds(get)).toBe(true)
})

test('lists of any length agree with the oracle, waiting or not', async () => {
  const { acls: mixed } = compileAcls([acl('m', 'method', 'GET'), acl('a', 'dst', '10.0.0.0/8')])
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.boolean(), fc.array(fc.constantFrom('m', '!m', 'a', '!a', 'all'), { minLength: 1, maxLength: 3 })), { maxLength: 8 }),
      fc.boolean(),
      fc.boolean(),
      async (lines, isGet, isInside) => {
        const texts = lines.map(([allow, names]) => `${allow ? 'allow' : 'deny'} ${names.join(' ')}`)
        const facts = factsOf({ method: isGet ? 'GET' : 'PUT', host: 'h.example' })
        facts.names = { addressesOf: async () => [isInside ? '10.0.0.1' : '192.0.2.1'], nameOf: () => '' }
        const truth: Record<string, boolean> = { m: isGet, '!m': !isGet, a: isInside, '!a': !isInside, all: true }
        const found = lines.findIndex(([, names]) => names.every(name => truth[name]))
        const expected = found >= 0 ? lines[found]?.[0] : lines.length === 0 ? false : !lines[lines.length - 1]?.[0]
        const decision = await compileAccessList(texts.map((text, i) => rule(text, i + 1)), mixed, 'deny').check(facts)
        expect(decision.allowed).toBe(expected)
        expect(decision.line?.line ?? 0).toBe(found + 1)
      },
    ),
    { numRuns: 300 },
  )
})

test('a decision can be sent to another process', () => {
  const list = compileAccessList([rule('allow all', 1)], compileAcls([]).acls, 'deny')
  expect(structuredClone(now(list.check(get)))).toMatchObject({ allowed: true, text: 'x.conf:1', lastAcl: 'all' })
})

describe('a list that always answers the same', () => {
  const acls = compileAcls([]).acls
  const constantOf = (lines: readonly string[], otherwise: 'allow' | 'deny' = 'deny') =>
    compileAccessList(lines.map((line, i) => rule(line, i + 1)), acls, otherwise).constant?.allowed ?? null

  test.each([
    [['allow all'], true],
    [['deny all', 'allow localhost'], false],
    [['allow all all'], true],
    [['allow !all'], null],
    [['deny localhost', 'allow all'], null],
    [['allow all localhost'], null],
  ])('%j: %s', (lines, expected) => expect(constantOf(lines)).toBe(expected))

  test('without a line it is what the directive says', () => {
    expect(constantOf([], 'allow')).toBe(true)
    expect(constantOf([], 'deny')).toBe(false)
  })
})

describe('a name that is still to come', () => {
  const groups = [
    acl('names', 'dstdomain', '.x.org'), acl('patterns', 'dstdom_regex', 'x'), acl('uris', 'url_regex', 'x\\.org'), acl('servers', 'ssl::server_name', '.x.org'),
    acl('address', 'dstdomain', '203.0.113.9'), acl('here', 'src', '192.0.2.0/24'), acl('there', 'src', '198.51.100.0/24'),
    acl('any', 'any-of', 'there names'), acl('anyhow', 'any-of', 'names here'), acl('both', 'all-of', 'names here'), acl('neither', 'all-of', 'names there'), acl('all', 'src', 'all'),
  ]
  const table = compileAcls(groups).acls
  const pending = factsOf({ method: 'CONNECT', host: '203.0.113.9', uri: '203.0.113.9:443', namePending: true })
  const answer = (...lines: readonly string[]): string => {
    const { allowed, unnamed, line } = now(compileAccessList(lines.map((text, i) => rule(text, i + 1)), table, 'deny').check(pending))
    return unnamed ? `waits at ${line?.line ?? 0}` : allowed ? 'allowed' : 'denied'
  }

  test.each([
    [['allow names'], 'waits at 1'], [['allow patterns'], 'waits at 1'], [['allow uris'], 'waits at 1'], [['allow servers'], 'waits at 1'],
    [['deny !names', 'allow all'], 'waits at 1'],
    [['allow address'], 'allowed'], [['deny address', 'allow names'], 'denied'],
    [['deny there', 'allow names'], 'waits at 2'], [['deny here', 'allow names'], 'denied'],
    [['deny names there', 'allow all'], 'allowed'], [['deny names here', 'allow all'], 'waits at 1'], [['deny there names', 'allow all'], 'allowed'],
    [['allow any'], 'waits at 1'], [['allow anyhow'], 'allowed'], [['allow both'], 'waits at 1'], [['deny neither', 'allow all'], 'allowed'],
  ])('%j: %s', (lines, expected) => expect(answer(...lines)).toBe(expected))

  test('is no match for lists that cannot wait', () => {
    expect(compileAccessList([rule('allow names', 1)], table, 'deny').checkFast(pending).allowed).toBe(false)
  })

  test('counts as soon as it is there', () => {
    const named = factsOf({ method: 'CONNECT', host: 'a.x.org', uri: 'a.x.org:443', serverName: 'a.x.org' })
    for (const name of ['names', 'patterns', 'uris', 'servers']) expect(now(compileAccessList([rule(`allow ${name}`)], table, 'deny').check(named)).allowed, name).toBe(true)
  })
})
