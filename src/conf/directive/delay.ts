import type { Bytes } from '../../base/index.ts'
import type { Line, Word } from '../line.ts'
import type { Location } from '../config.ts'
import { wholeNumber } from '../values.ts'
import { namedAccessList, valueList } from './access.ts'
import { works } from './directive.ts'
import { count, lines, needWord, onOff, size } from './kinds.ts'

// Delay pools. Rates are bytes per second, as in Squid: 8000/16000 lets 8000 bytes pass in a second, and 16000 at once
// after a pause. Which levels a class has is in proxy/http/delay.

/** Null: no limit. */
export interface RateConfig {
  readonly bytesPerSecond: number
  readonly burst: number
}

interface PoolLine {
  readonly pool: number
  readonly text: string
  readonly at: Location
}

export interface DelayClassLine extends PoolLine {
  readonly class: 1 | 2 | 3 | 4 | 5
}

export interface DelayParametersLine extends PoolLine {
  readonly rates: readonly (RateConfig | null)[]
}

export interface ResponsePoolLine {
  readonly name: string
  readonly individual: RateConfig | null
  readonly aggregate: RateConfig | null
  /** Percent. */
  readonly initial: number
  readonly text: string
  readonly at: Location
}

const poolNumber = (line: Line): number | undefined => {
  const word = needWord(line, 'the number of a pool')
  if (word === undefined) return undefined
  const number = wholeNumber(word.text)
  if (number !== null && number >= 1) return number
  line.fatal(`${line.name}: expecting the number of a pool, from 1 on, got '${word.text}'`, word)
  return undefined
}

const isClass = (number: number | null): number is 1 | 2 | 3 | 4 | 5 => number !== null && number >= 1 && number <= 5

const readClass = (line: Line): DelayClassLine | undefined => {
  const pool = poolNumber(line)
  const word = pool === undefined ? undefined : needWord(line, 'a class, 1 to 5')
  if (pool === undefined || word === undefined) return undefined
  const number = wholeNumber(word.text)
  if (isClass(number)) return { pool, class: number, text: line.read, at: line.at() }
  line.fatal(`${line.name}: expecting a class from 1 to 5, got '${word.text}'`, word)
  return undefined
}

/** `RATE/MAX`, in bytes; `none`, or -1 for one of the two: no limit. undefined: refused. */
const readRate = (line: Line, word: Word): RateConfig | null | undefined => {
  if (word.text === 'none') return null
  const [rate, burst] = word.text.split('/', 2).map(wholeNumber)
  if (rate === -1 || burst === -1) return null
  if (rate === null || rate === undefined || burst === null || burst === undefined || rate < 0 || burst < 0) {
    line.fatal(`${line.name}: expecting RATE/MAX in bytes, got '${word.text}'`, word, "such as 64000/64000, or 'none' for no limit")
    return undefined
  }
  return { bytesPerSecond: rate, burst }
}

const readParameters = (line: Line): DelayParametersLine | undefined => {
  const pool = poolNumber(line)
  const rates: (RateConfig | null)[] = []
  for (let word = line.next(); word !== null; word = line.next()) {
    const rate = readRate(line, word)
    if (rate === undefined) return undefined
    rates.push(rate)
  }
  if (pool === undefined) return undefined
  if (rates.length > 0) return { pool, rates, text: line.read, at: line.at() }
  line.fatal(`${line.name} needs RATE/MAX for each bucket of the pool`)
  return undefined
}

const readClientParameters = (line: Line): DelayParametersLine | undefined => {
  const pool = poolNumber(line)
  const [rate, burst] = [needWord(line, 'bytes per second'), needWord(line, 'the most bytes that may pass at once')]
  if (pool === undefined || rate === undefined || burst === undefined) return undefined
  const read = readRate(line, { ...rate, text: `${rate.text}/${burst.text}` })
  return read === undefined ? undefined : { pool, rates: [read], text: line.read, at: line.at() }
}

const responseOptions = ['individual-restore', 'individual-maximum', 'aggregate-restore', 'aggregate-maximum', 'initial-bucket-level']

const readResponsePool = (line: Line): ResponsePoolLine | undefined => {
  const name = needWord(line, 'the name of a pool')
  if (name === undefined) return undefined
  const values = new Map<string, number>()
  for (let word = line.next(); word !== null; word = line.next()) {
    const equals = word.text.indexOf('=')
    const option = word.text.slice(0, Math.max(0, equals))
    const number = wholeNumber(word.text.slice(equals + 1))
    if (!responseOptions.includes(option) || number === null) {
      line.fatal(`${line.name}: unknown option '${word.text}'`, word, `options are ${responseOptions.map(o => `${o}=N`).join(', ')}`)
      return undefined
    }
    values.set(option, number)
  }
  const rateOf = (which: string): RateConfig | null => {
    const [rate, burst] = [values.get(`${which}-restore`) ?? -1, values.get(`${which}-maximum`) ?? -1]
    return rate < 0 || burst < 0 ? null : { bytesPerSecond: rate, burst }
  }
  const initial = Math.min(100, Math.max(0, values.get('initial-bucket-level') ?? 50))
  return { name: name.text, individual: rateOf('individual'), aggregate: rateOf('aggregate'), initial, text: line.read, at: line.at() }
}

/** Squid 2's way to write it has `allow` between size and ACLs; its `deny` leaves a line out for whom it names. */
const readFree = (line: Line): Bytes | undefined => {
  const bytes = size().read(line, size().initial)
  const word = line.peek()
  if (word?.text === 'allow') line.next()
  if (word?.text !== 'deny') return bytes
  line.fatal(`${line.name}: 'deny' is not understood here`, word, 'write the ACLs this is for, with ! before those it is not for')
  return undefined
}

export const delayDirectives = {
  delay_pools: works(
    count(),
    `How many delay pools there are. They slow down what servers send, in bytes per second: misses and tunnels. What comes
from the cache is not slowed down. Pools are made anew by a reload; what is under way keeps the old ones.`,
    {
      default: '0',
      example: `delay_pools 1
delay_class 1 2
delay_parameters 1 1000000/1000000 64000/256000
delay_access 1 allow all`,
    },
  ),
  delay_class: works(
    lines('POOL CLASS', readClass),
    `Which buckets a pool has. 1: one for all. 2: and one per client. 3: one for all, one per network, one per client.
4: and one per user. 5: one per tag of an external ACL. A client is a whole address, a network an IPv4 /24 or an IPv6 /64.
(Squid looks at the last one or two octets only, and knows IPv6 in classes 1 and 5 only.) A bucket for which there is no
key, such as a user who has not said who he is, does not limit.`,
    { example: 'delay_class 1 3' },
  ),
  delay_access: works(
    namedAccessList('POOL', 'fast'),
    `Which requests a pool slows down: the first pool that allows takes the request. Without a line a pool is not used. Of
several clients who share one fetch the first counts.`,
    { example: 'delay_access 1 allow all' },
  ),
  delay_parameters: works(
    lines('POOL RATE/MAX ...', readParameters),
    `Bytes per second of each bucket of a pool, in the order of its class, and how many may pass at once after a pause. "none"
or -1/-1: no limit. A MAX below RATE is the rate (as Squid, which fills once a second).`,
    { example: 'delay_parameters 1 none 64000/64000 8000/16000' },
  ),
  delay_initial_bucket_level: works(count({ max: 100 }), 'How full buckets are at first, in percent of their MAX.', {
    default: '50',
  }),
  delay_pool_uses_indirect_client: works(
    onOff(),
    'Buckets of a client or its network are those of the client follow_x_forwarded_for has found, not of who is connected.',
    { default: 'on' },
  ),
  delay_body_max_size: works(
    valueList('SIZE [allow]', 'fast', readFree),
    `How much of the content of a response delay_access does not slow down: a small response is not slowed at all, of a larger
one what comes behind. Of several lines the first whose ACLs match counts. Lusca's.`,
    { example: 'delay_body_max_size 64 KB' },
  ),
  delay_client_request_access: works(
    namedAccessList('POOL', 'fast'),
    `What clients send a pool of delay_pools slows down, by the request it comes with: its content, and what goes through the
tunnel it opens (CONNECT, Upgrade). The first that allows. A pool that delay_access names, too, has its buckets for both.
What waits waits with the client: not more of it is read than client_request_buffer_max_size of a content, and a few pieces
of a tunnel. Lusca's.`,
    { example: 'acl uploads method PUT POST CONNECT\ndelay_client_request_access 1 allow uploads' },
  ),
  delay_client_reply_access: works(
    namedAccessList('POOL', 'fast'),
    `Which responses a pool of delay_pools slows down on their way to clients, hits included: the first that allows, unless a
response_delay_pool has it. What is slowed down by both this and delay_access counts twice in a pool they share. Lusca's.`,
    { reload: 'new connections', example: 'delay_client_reply_access 1 allow all' },
  ),
  client_delay_pools: works(count(), 'How many pools limit the bytes clients receive, hits included.', {
    default: '0',
    reload: 'new connections',
    example: `client_delay_pools 1
client_delay_parameters 1 64000 256000
client_delay_access 1 allow all`,
  }),
  client_delay_initial_bucket_level: works(
    count({ max: 100 }),
    'How full client buckets are at first, in percent.',
    { default: '50', reload: 'new connections' },
  ),
  client_delay_parameters: works(
    lines('POOL RATE MAX', readClientParameters),
    'Bytes per second that each client address may receive over all its connections, and at once after a pause.',
    { reload: 'new connections' },
  ),
  client_delay_access: works(
    namedAccessList('POOL', 'fast'),
    `Which clients a client pool limits: the first that allows. Asked when a connection is made, so only what is known of a
connection counts: src, myportname, time and the like.`,
    { reload: 'new connections' },
  ),
  response_delay_pool: works(
    lines('NAME [individual-restore=N] [individual-maximum=N] [aggregate-restore=N] [aggregate-maximum=N] [initial-bucket-level=PERCENT]', readResponsePool),
    `Limits single responses, hits included: "individual" each of them, "aggregate" all of the pool together, in bytes per
second (restore) and at once after a pause (maximum). Such a response does not count against client_delay_pools.`,
    { reload: 'new connections', example: 'response_delay_pool films individual-restore=500000 individual-maximum=1000000' },
  ),
  response_delay_pool_access: works(
    namedAccessList('NAME', 'fast'),
    'Which responses a response pool limits: the first that allows. Asked when the request has been let in.',
    { reload: 'new connections' },
  ),
}
