// Ranges as curl and wget ask for them and nginx answers them, through a gateway that intercepts: what of a file has been
// on the line once is not fetched again, whoever wants which part of it, and every byte is nginx's. Seen at the client, in
// the access log, and in what nginx says it was asked for.

import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openNetwork } from '../../src/intercept/index.ts'
import { curl, factsLog, Gateway, natPort, squidLikeConf, tproxyPort } from '../support/gateway.ts'
import { type Network, noLabWith } from '../support/net-lab.ts'
import { Nginx } from '../support/nginx.ts'

const cannot = noLabWith('nft', 'nginx', 'curl', 'wget')
const mebibyte = 1024 * 1024

/** No two places are alike. */
const film = Buffer.from(Array.from({ length: mebibyte }, (_, i) => `${i} `.padStart(8, '.')).join(''))
const sha = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

// small memory: films lie on disk
const conf = `${squidLikeConf.replace('maximum_object_size_in_memory 8 MB', 'maximum_object_size_in_memory 64 KB')}${factsLog}
cache_dir ufs /run/glassquid/cache 500
maximum_object_size 100 MB
acl updates urlpath_regex ^/fresh/updates/
range_offset_limit none updates
`

describe.skipIf(cannot !== null)(`ranges through a gateway ${cannot ?? ''}`, () => {
  let lab: Network
  let gateway: Gateway
  let nginx: Nginx

  beforeAll(async () => {
    lab = await openNetwork()
    nginx = await Nginx.open(lab)
    gateway = await Gateway.open(lab, { conf })
  })
  afterAll(() => lab.close())

  const uriOf = (port: number, path: string): string => `http://origin.lab${port === 80 ? '' : `:${port}`}${path}`
  const asked = async (path: string) => (await nginx.saw(path)).map(({ status, range, sent }) => ({ status, range, sent }))
  const hashOfFile = async (path: string): Promise<string> => (await lab.client.must('sha256sum', path)).split(' ')[0] ?? ''

  it.each([['tproxy', tproxyPort], ['nat', natPort]] as const)('by %s: pieces, then the rest, then nothing more', async (way, port) => {
    const path = `/fresh/${way}/film`
    nginx.page(path, film)
    const uri = uriOf(port, path)
    const piece = async (first: number, last: number): Promise<void> => {
      const got = await curl(lab, '-4', '-r', `${first}-${last}`, uri)
      expect([got.status, got.fields.get('content-range')]).toEqual([206, `bytes ${first}-${last}/${film.length}`])
      expect(got.content === film.toString('latin1', first, last + 1)).toBe(true)
    }
    await piece(0, 99_999)
    await piece(50_000, 50_099)
    await piece(4_000_000, 4_999_999)
    await piece(4_500_000, 4_500_009)
    await lab.client.must('curl', '-sS', '-4', '-o', '/run/film', uri)
    expect(await hashOfFile('/run/film')).toBe(sha(film))
    await piece(8_000_000, 8_000_099)
    expect(await asked(path)).toEqual([
      { status: 206, range: 'bytes=0-99999', sent: 100_000 },
      { status: 206, range: 'bytes=4000000-4999999', sent: 1_000_000 },
      { status: 206, range: `bytes=100000-${film.length - 1}`, sent: film.length - 100_000 },
    ])
    const records = await gateway.about(uri.slice('http://'.length), 6)
    expect(records.map(r => `${r.taken} ${r.result}/${r.status}`)).toEqual(
      ['TCP_MISS/206', 'TCP_HIT/206', 'TCP_MISS/206', 'TCP_HIT/206', 'TCP_MISS/200', 'TCP_HIT/206'].map(text => `${way} ${text}`),
    )
  })

  it('a download that broke off goes on where it ended, whoever goes on with it', async () => {
    const path = '/fresh/broken'
    const long = Buffer.concat(Array(5).fill(film)) // more than the kernels between here and there hold
    nginx.page(path, long)
    const uri = uriOf(natPort, path)
    const broken = await lab.client.run('curl', '-sS', '-4', '-o', '/run/part', '--limit-rate', '2M', '--max-time', '2', uri)
    expect(broken.code).toBe(28)
    expect((await gateway.about('/broken'))[0]).toMatchObject({ result: 'TCP_MISS_ABORTED' })
    // the same client with -C -, as browsers and wget -c do
    await lab.client.must('curl', '-sS', '-4', '-C', '-', '-o', '/run/part', uri)
    expect(await hashOfFile('/run/part')).toBe(sha(long))
    // and another, from the beginning
    await lab.client.must('wget', '-q', '-O', '/run/other', uri)
    expect(await hashOfFile('/run/other')).toBe(sha(long))
    const requests = await asked(path)
    const sent = requests.slice(1).reduce((sum, request) => sum + request.sent, 0)
    // what had come before the break was not asked for again
    expect(requests[1]?.range).toMatch(/^bytes=[1-9]\d+-\d+$/)
    expect(sent).toBeLessThan(long.length)
    expect(requests.length).toBeLessThanOrEqual(3)
  }, 60_000)

  it('several ranges at once of what is here are one message', async () => {
    const path = '/fresh/several'
    nginx.page(path, film)
    const uri = uriOf(natPort, path)
    await lab.client.must('curl', '-sS', '-4', '-o', '/dev/null', uri)
    const got = await curl(lab, '-4', '-r', '0-9,1000000-1000009', uri)
    expect([got.status, got.fields.get('content-type')?.split(';')[0]]).toEqual([206, 'multipart/byteranges'])
    expect(got.content).toContain(`Content-Range: bytes 1000000-1000009/${film.length}\r\n\r\n${film.toString('latin1', 1_000_000, 1_000_010)}\r\n--`)
    expect(Number(got.fields.get('content-length'))).toBe(got.content.length)
    expect(await asked(path)).toHaveLength(1)
  })

  it('of an update the whole is fetched, though only ranges are asked for', async () => {
    const path = '/fresh/updates/patch'
    nginx.page(path, film)
    const uri = uriOf(tproxyPort, path)
    const last = await curl(lab, '-4', '-r', '-10', uri)
    expect([last.status, last.content]).toEqual([206, film.toString('latin1', film.length - 10)])
    const first = await curl(lab, '-4', '-r', '0-9', uri)
    expect([first.status, first.content]).toEqual([206, film.toString('latin1', 0, 10)])
    await lab.client.must('curl', '-sS', '-4', '-o', '/run/patch', uri)
    expect(await hashOfFile('/run/patch')).toBe(sha(film))
    expect(await asked(path)).toEqual([{ status: 200, range: '', sent: film.length }])
  })

  it('a file that has changed is never mixed with what it was', async () => {
    const path = '/etag/changing' // Cache-Control: no-cache
    nginx.page(path, film)
    const uri = uriOf(natPort, path)
    expect((await curl(lab, '-4', '-r', '0-999999', uri)).status).toBe(206)
    const changed = Buffer.from(film.toString('latin1').replaceAll('.', ':'), 'latin1')
    nginx.page(path, changed.subarray(0, changed.length - 8))
    await lab.client.must('curl', '-sS', '-4', '-o', '/run/changed', uri)
    expect(await hashOfFile('/run/changed')).toBe(sha(changed.subarray(0, changed.length - 8)))
    const range = await curl(lab, '-4', '-r', '10-19', uri)
    expect(range.content).toBe(changed.toString('latin1', 10, 20))
    const requests = await asked(path)
    expect(requests.map(({ status }) => status)).toEqual([206, 200, 304])
  })
})
