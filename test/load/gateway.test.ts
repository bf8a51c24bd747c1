// What a gateway carries in the large: a gigabyte, uploads, ten thousand idle clients. The contract is that the daemon's
// memory does not follow the size of what passes, nor the slowness of those who take it. Seen in RssAnon of the daemon,
// which neither files nor shared pages blur. Bounds are generous: they tell a leak or a missing limit from noise.

import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openNetwork } from '../../src/intercept/index.ts'
import {
  anonymousBytes, curl, descriptorCount, descriptorLimit, Gateway, mib, mostHeld, natPort, program, tproxyPort, usualRules,
} from '../support/gateway.ts'
import { labAddresses, type Network, noLabWith, type Running } from '../support/net-lab.ts'
import { Nginx } from '../support/nginx.ts'

const cannot = noLabWith('nft', 'nginx', 'curl')
const { client, gatewayWan } = labAddresses
const mebibyte = 1024 * 1024
const growthMax = 64 * mebibyte
/** The counting origin's port: taken by NAT beside nginx's. */
const countingPort = 8081
const minutes = 120_000

describe.skipIf(cannot !== null)(`a gateway under load ${cannot ?? ''}`, () => {
  let lab: Network
  let gateway: Gateway
  let nginx: Nginx
  let origin: Running

  beforeAll(async () => {
    lab = await openNetwork()
    nginx = await Nginx.open(lab)
    origin = lab.origin.spawn(process.execPath, [program('counting-origin'), String(countingPort)])
    await origin.heard('listening')
    gateway = await Gateway.open(lab, {
      rules: [...usualRules, '--take', `${countingPort}=3129`],
    })
    // the code that moves content is compiled and its buffers are there before anything is measured
    nginx.page('/private/warm', Buffer.alloc(32 * mebibyte))
    for (const port of [tproxyPort, natPort]) await curl(lab, '-o', '/dev/null', `http://origin.lab:${port}/private/warm`)
  })
  afterAll(() => lab.close())

  /** What the daemon's memory grew by while `during` ran, at its highest. */
  const growth = async (during: () => Promise<unknown>): Promise<number> => {
    const { pid } = gateway.proxy
    const before = anonymousBytes(pid)
    return (await mostHeld(pid, during())) - before
  }

  const download = (uri: string, ...words: readonly string[]) =>
    lab.client.runWith({ deadlineMs: minutes }, 'curl', '-sS', '-o', '/dev/null', '-w', '%{http_code} %{size_download}', ...words, uri)

  it.each([['tproxy', tproxyPort], ['nat', natPort]] as const)('a gigabyte by %s passes with flat memory', async (way, port) => {
    const bytes = 1024 * mebibyte
    await lab.origin.script(`mkdir -p /run/www/private; truncate -s ${bytes} /run/www/private/gigabyte`)
    const grown = await growth(async () => {
      expect((await download(`http://origin.lab:${port}/private/gigabyte`)).stdout).toBe(`200 ${bytes}`)
    })
    console.log(`a gigabyte by ${way}: memory grew by ${mib(grown)} at most`)
    expect(grown).toBeLessThan(2 * growthMax) // at full speed much of it is garbage that has not been collected yet
    const [record] = await gateway.about(`:${port}/private/gigabyte`.replace(':80/', '/'))
    expect(record).toMatchObject({ taken: way, result: 'TCP_MISS', status: 200 })
    expect(record?.bytes).toBeGreaterThanOrEqual(bytes)
    expect((await nginx.saw('/private/gigabyte')).map(sight => sight.status)).toContain(200)
  }, minutes)

  it('a client that does not take what it asked for holds back the origin, not our memory', async () => {
    const bytes = 512 * mebibyte
    const uri = `http://origin.lab:${countingPort}/stream?bytes=${bytes}`
    const grown = await growth(async () => {
      expect((await download(uri, '--limit-rate', '100K', '--max-time', '4')).code).toBe(28)
    })
    expect(grown).toBeLessThan(growthMax)
    const left = await origin.heard(/\{"what":"left".*\}/)
    // what it wrote lies in the kernels' buffers between here and there
    expect(JSON.parse(left).written).toBeLessThan(growthMax)
    expect(await gateway.about('/stream')).toMatchObject([{ taken: 'nat', result: 'TCP_MISS_ABORTED', status: 200 }])
  }, minutes)

  it('a hundred megabytes are uploaded, with a length and in chunks, after 100-continue or without', async () => {
    const bytes = 100 * mebibyte
    await lab.client.script(`truncate -s ${bytes} /run/upload`)
    const digest = createHash('sha256')
    for (let i = 0; i < 100; i++) digest.update(Buffer.alloc(mebibyte))
    const expected = `${bytes} bytes, sha256 ${digest.digest('hex')}\n`
    const ways = [
      ['length', '-T', '/run/upload'],
      ['chunked', '-T', '/run/upload', '-H', 'Transfer-Encoding: chunked'],
      ['unasked', '-T', '/run/upload', '-H', 'Expect:'],
    ] as const
    for (const [how, ...words] of ways) {
      const grown = await growth(async () => {
        const sent = await curl(lab, '-4', '-m', '100', ...words, `http://origin.lab:${countingPort}/${how}`)
        expect([sent.status, sent.content]).toEqual([200, expected])
      })
      console.log(`an upload (${how}): memory grew by ${mib(grown)} at most`)
      expect(grown).toBeLessThan(growthMax)
      expect(await gateway.about(`/${how}`)).toMatchObject([{ taken: 'nat', method: 'PUT', result: 'TCP_MISS', status: 200 }])
    }
    expect(origin.said).toContain(`{"what":"complete","method":"PUT","uri":"/length","peer":"${gatewayWan.ipv4}","bytes":${bytes}`)
  }, minutes)

  it('an origin that does not take an upload holds back the client, not our memory', async () => {
    const grown = await growth(async () => {
      const sent = await curl(lab, '-4', '-m', '4', '-T', '/run/upload', `http://origin.lab:${countingPort}/slow?rate=4000000`)
      expect(sent.code).toBe(28)
    })
    expect(grown).toBeLessThan(growthMax)
    // it has read what lay in the kernels' buffers, and met the end
    await origin.heard(/"what":"broken","method":"PUT","uri":"\/slow/)
    expect(await gateway.about('/slow')).toMatchObject([{ taken: 'nat', method: 'PUT' }])
  }, minutes)

  const idleCount = 10_000

  const few = descriptorLimit() < idleCount + 500 ? `SKIPPED: needs ${idleCount + 500} descriptors, ulimit -Hn says ${descriptorLimit()}` : ''
  if (few !== '') console.warn(few)

  it.skipIf(few !== '')(`${idleCount} idle intercepted clients cost little, and others are served meanwhile ${few}`, async () => {
    const { pid } = gateway.proxy
    nginx.page('/fresh/idle', 'idle')
    const uri = `http://origin.lab:${natPort}/fresh/idle`
    // once before, so that what stays for good is there: tables grow, code is compiled
    const clients = lab.client.spawn(process.execPath, [program('idle-clients'), uri])
    await clients.heard('ready')
    const open = async (count: number) => {
      clients.tell(`open ${count}\n`)
      await clients.heard(new RegExp(`^open ${count}$`, 'm'))
    }
    const close = async (times: number) => {
      clients.tell('close\n')
      await expect.poll(() => clients.said.match(/^closed$/gm)?.length, { timeout: 30_000 }).toBe(times)
      await expect.poll(() => descriptorCount(pid), { timeout: 30_000 }).toBeLessThanOrEqual(descriptors + 4)
    }
    await curl(lab, '-4', uri)
    const descriptors = descriptorCount(pid)
    await open(1000)
    await close(1)
    const before = anonymousBytes(pid)
    await open(idleCount)
    expect(descriptorCount(pid) - descriptors).toBeGreaterThan(idleCount - 10) // an idle origin connection may have gone meanwhile
    const perClient = (anonymousBytes(pid) - before) / idleCount
    console.log(`an idle intercepted client costs ${Math.round(perClient)} bytes`)
    expect(perClient).toBeLessThan(16 * 1024)

    const answer = await curl(lab, '-4', `http://origin.lab/fresh/idle`)
    expect([answer.status, answer.content]).toEqual([200, 'idle'])
    await close(2)
    const asked = gateway.records.filter(record => record.uri === uri)
    expect(asked).toHaveLength(idleCount + 1000 + 1)
    expect(new Set(asked.map(({ taken, result, status }) => `${taken} ${result}/${status}`))).toEqual(
      new Set(['nat TCP_MISS/200', 'nat TCP_MEM_HIT/200']),
    )
    expect(new Set(asked.map(record => record.client))).toEqual(new Set([client.ipv4]))
    expect((await nginx.saw('/fresh/idle')).map(sight => sight.peer)).toEqual([gatewayWan.ipv4, client.ipv4])
  }, minutes)
})
