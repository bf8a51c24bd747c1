import { describe, expect, it, test } from 'vitest'
import { bytesOrigin, dateAt, gate, get, origin, type Reply, site, stage, until } from './scene.ts'

// RFC 9111 4.2.3 and 5.1: how old a response is, whoever said so. What is stored at second 0 is asked for again ten
// seconds later. Date and Expires are the origin's and stay as they came.

/** Both answers to the same request, ten seconds apart, of what the origin answers once. */
const laterTen = async (lines: readonly string[]) => {
  const proxy = await stage()
  const fields = lines.map(line => line.replace(/\{(.*)\}/, (_, at) => dateAt(proxy.clock, Number(at))))
  const server = await site(() => ({ fields, content: 'x' }))
  const first = await proxy.ask(get(server.port))
  proxy.clock.advance(10_000)
  return { first, second: await proxy.ask(get(server.port)), proxy, server }
}

const hour = 'Cache-Control: max-age=3600'

describe('the age of a stored response', () => {
  test.each<[string, readonly string[], string]>([
    ['is the time since it came', [], '10'],
    ['is no less than its Age', ['Age: 30'], '40'],
    ['is no less than what its Date says', ['Date: {-50}'], '60'],
    ['is the larger of the two', ['Date: {-50}', 'Age: 30'], '60'],
    ['is the larger of the two', ['Date: {-50}', 'Age: 70'], '80'],
    ['is not made less by a Date of tomorrow', ['Date: {86400}', 'Age: 5'], '15'],
    ['does not need a Date that can be read', ['Date: yesterday', 'Age: 5'], '15'],
    ['goes by the first member of a list', ['Age: 30, 500'], '40'],
    ['goes by the first line', ['Age: 30', 'Age: 500'], '40'],
    ['does not go by what is no number', ['Age: abc'], '10'],
    ['does not go by what is no number', ['Age: -5'], '10'],
    ['does not go by what is no number', ['Age: 7.5'], '10'],
    ['does not go by what is no number', ['Age: 30;x=1'], '10'],
    ['does not go by what is no number', ['Age: "30"'], '10'],
    ['does not go by what is no number', ['Age:'], '10'],
    ['does not go by what is no number, even if the next is', ['Age: abc, 30'], '10'],
    ['may have leading zeros', ['Age: 0030'], '40'],
  ])('%s: %j', async (_, lines, age) => {
    const { second, server } = await laterTen([hour, ...lines])
    expect([second.fields.joined('age'), server.requests.length]).toEqual([age, 1])
  })

  test.each(['2147483647', '2147483648', '4294967296', '99999999999999999999'])('of %s seconds makes anything stale but what is fresh for longer', async age => {
    expect((await laterTen([hour, `Age: ${age}`])).server.requests).toHaveLength(2)
    expect((await laterTen(['Cache-Control: max-age=2147483647', `Age: ${age}`, 'ETag: "a"'])).server.requests).toHaveLength(2)
  })

  it('counts what the response took on its way', async () => {
    const proxy = await stage()
    const asked = gate()
    const server = await origin(async (_, response) => {
      await asked.opened
      response.writeHead(200, { 'Cache-Control': 'max-age=20', Age: '3' }).end('x')
    })
    const wire = await proxy.client()
    wire.send(get(server.port))
    await until(() => server.requests.length === 1, 'the request at the origin')
    proxy.clock.advance(5000) // it may have been made at once, and waited somewhere
    asked.open()
    const first = await wire.response()
    expect(first.fields.get('age')).toBe('3') // what the origin said; the way it took is its own matter
    expect((await proxy.ask(get(server.port))).fields.get('age')).toBe('8')
    proxy.clock.advance(11_999)
    expect((await proxy.ask(get(server.port))).fields.get('age')).toBe('19')
    proxy.clock.advance(1)
    await proxy.ask(get(server.port))
    expect(server.requests).toHaveLength(2)
  })

  it('begins anew with a 304, and counts what the 304 says', async () => {
    const proxy = await stage()
    const server = await site((_, nth) =>
      nth === 0 ? { fields: ['Cache-Control: max-age=10', 'ETag: "a"', 'Age: 4'], content: 'x' } : { status: 304, fields: ['ETag: "a"', 'Cache-Control: max-age=20', 'Age: 7'] },
    )
    const ages = []
    for (const wait of [0, 5000, 1000, 12_999, 1]) {
      proxy.clock.advance(wait)
      ages.push((await proxy.ask(get(server.port))).fields.get('age'))
    }
    expect(ages).toEqual(['4', '9', '7', '19', '7'])
    expect(server.requests).toHaveLength(3)
  })

  it('is said once, by us', async () => {
    const { second } = await laterTen([hour, 'Age: 1', 'Age: 2'])
    expect([second.fields.count('age'), second.fields.get('age')]).toEqual([1, '11'])
  })
})

describe('Date and Expires', () => {
  it.each([['Expires: {3600}', 'Date: {0}'], ['Expires: {3600}', 'Date: {-5}'], ['Expires: {3600}', 'Date: {7}']])('%s, %s are given as they came', async (...lines) => {
    const { first, second } = await laterTen(lines)
    for (const name of ['date', 'expires']) {
      expect([second.fields.count(name), second.fields.get(name)]).toEqual([1, first.fields.get(name)])
    }
    expect(second.fields.has('age')).toBe(true)
  })

  it('a Date that is missing is the time it came', async () => {
    const proxy = await stage()
    const server = await bytesOrigin(`HTTP/1.1 200 OK\r\n${hour}\r\nContent-Length: 1\r\n\r\nx`)
    const came = dateAt(proxy.clock)
    const first = await proxy.ask(get(server.port))
    proxy.clock.advance(10_000)
    const second = await proxy.ask(get(server.port))
    expect([first.fields.get('date'), second.fields.get('date')]).toEqual([came, came])
  })

  it('are those of the 304 after one', async () => {
    const proxy = await stage()
    const server = await site((_, nth): Reply => {
      const lines = [`Date: ${dateAt(proxy.clock)}`, `Expires: ${dateAt(proxy.clock, 10)}`, 'ETag: "a"']
      return nth === 0 ? { fields: lines, content: 'x' } : { status: 304, fields: lines }
    })
    await proxy.ask(get(server.port))
    proxy.clock.advance(10_000)
    const [date, expires] = [dateAt(proxy.clock), dateAt(proxy.clock, 10)]
    for (let i = 0; i < 2; i++) {
      const response = await proxy.ask(get(server.port))
      expect([response.fields.joined('date'), response.fields.get('expires'), response.fields.count('expires')]).toEqual([date, expires, 1])
    }
    expect(server.requests).toHaveLength(2)
  })

  test.each<[string, readonly string[], number]>([
    ['Expires counts from its Date, not from our clock', ['Date: {-30}', 'Expires: {0}'], 2],
    ['Expires counts from its Date, not from our clock', ['Date: {100}', 'Expires: {130}'], 1],
    ['an Age takes away from it', ['Date: {10}', 'Expires: {30}', 'Age: 15'], 2],
    ['of several the first counts', ['Date: {0}', 'Expires: {30}', 'Expires: {0}'], 1],
    ['of several the first counts', ['Date: {0}', 'Expires: {0}', 'Expires: {30}'], 2],
    ['what cannot be read is over', ['Date: {0}', 'Expires: 0'], 2],
    ['what cannot be read is over', ['Date: {0}', 'Expires: -1'], 2],
    ['what cannot be read is over', ['Date: {0}', 'Expires:'], 2],
    ['max-age goes before', ['Date: {0}', 'Expires: 0', 'Cache-Control: max-age=60'], 1],
    ['even if it cannot be read', ['Date: {0}', 'Expires: {30}', "Cache-Control: max-age='60'"], 2],
    ['a Date of our own counts where theirs cannot be read', ['Date: foo', 'Expires: {30}'], 1],
  ])('%s: %j', async (_, lines, count) => {
    expect((await laterTen(lines)).server.requests).toHaveLength(count)
  })
})
