import { type AclTable, compileAccessList, compileCondition } from '../acl/index.ts'
import type { AccessLine, Config, Diagnostic, Location } from '../conf/index.ts'
import { type DelayPools, Pool, type PoolLevel, ResponsePool } from '../proxy/index.ts'

// delay_*, client_delay_* and response_delay_pool lines to pools. As Squid, a line about a pool that does not exist is
// remarked and ignored.

type Rate = Config['response_delay_pool'][number]['individual']

/** The levels of a class, in the order of delay_parameters. */
const levelsOfClass = {
  1: ['aggregate'],
  2: ['aggregate', 'individual'],
  3: ['aggregate', 'network', 'individual'],
  4: ['aggregate', 'network', 'individual', 'user'],
  5: ['tag'],
} as const

/** Null: there are none. */
export const compileDelayPools = (config: Config, acls: AclTable, problems: Diagnostic[]): DelayPools | null => {
  const numbered = serverPools(config, acls, problems)
  const given = (lines: Config['delay_access']): Pool[] => {
    subjectsOutOfRange(lines, config.delay_pools, 'delay_pools', problems)
    return [...numbered].flatMap(([number, pool]) => {
      const own = accessOf(lines, number)
      return own.length === 0 ? [] : [pool.sharedBy(compileAccessList(own, acls, 'deny'))]
    })
  }
  const pools = {
    server: [...numbered.values()],
    free: config.delay_body_max_size.map(line => ({ bytes: line.value, when: compileCondition(line.acls, acls, line.at) })),
    requests: given(config.delay_client_request_access),
    replies: given(config.delay_client_reply_access),
    client: clientPools(config, acls, problems),
    response: responsePools(config, acls, problems),
  }
  return pools.server.length + pools.client.length + pools.response.length === 0 ? null : pools
}

/** By their numbers. */
const serverPools = (config: Config, acls: AclTable, problems: Diagnostic[]): ReadonlyMap<number, Pool> => {
  const { delay_pools: count, delay_class: classes, delay_parameters: parameters, delay_access: access } = config
  outOfRange([...classes, ...parameters], count, 'delay_pools', problems)
  subjectsOutOfRange(access, count, 'delay_pools', problems)
  const pools = new Map<number, Pool>()
  for (let pool = 1; pool <= Math.min(count, poolsMax); pool++) {
    const lines = accessOf(access, pool)
    const kind = classes.findLast(line => line.pool === pool)
    const rates = parameters.findLast(line => line.pool === pool)
    if (kind === undefined) {
      for (const { at } of rates === undefined ? lines : [rates]) warn(problems, at, `delay pool ${pool} has no delay_class`, `write: delay_class ${pool} 1`)
      continue
    }
    const names = levelsOfClass[kind.class]
    if (rates === undefined) {
      warn(problems, kind.at, `delay pool ${pool} has no delay_parameters and limits nothing`, `write: delay_parameters ${pool} ...`)
      continue
    }
    if (rates.rates.length !== names.length) {
      fatal(problems, rates.at, `delay_parameters: a pool of class ${kind.class} has ${names.join(', ')}, but there are ${rates.rates.length} rates`, `${names.length} are needed`)
      continue
    }
    const levels = names.flatMap((name, i) => levelOf(name, filledOnceASecond(rates.rates[i] ?? null), config.delay_initial_bucket_level))
    pools.set(pool, new Pool(compileAccessList(lines, acls, 'deny'), levels))
  }
  return pools
}

const clientPools = (config: Config, acls: AclTable, problems: Diagnostic[]): Pool[] => {
  const { client_delay_pools: count, client_delay_parameters: parameters, client_delay_access: access } = config
  outOfRange(parameters, count, 'client_delay_pools', problems)
  subjectsOutOfRange(access, count, 'client_delay_pools', problems)
  const pools: Pool[] = []
  for (let pool = 1; pool <= Math.min(count, poolsMax); pool++) {
    const rates = parameters.findLast(line => line.pool === pool)
    if (rates === undefined) continue
    const levels = levelOf('individual', rates.rates[0] ?? null, config.client_delay_initial_bucket_level)
    pools.push(new Pool(compileAccessList(accessOf(access, pool), acls, 'deny'), levels))
  }
  return pools
}

const responsePools = (config: Config, acls: AclTable, problems: Diagnostic[]): ResponsePool[] => {
  const names = new Set(config.response_delay_pool.map(line => line.name))
  for (const { subject, at } of config.response_delay_pool_access) {
    if (!names.has(subject)) fatal(problems, at, `there is no response_delay_pool '${subject}'`, `define it: response_delay_pool ${subject} ...`)
  }
  return config.response_delay_pool.map(({ name, individual, aggregate, initial }) => {
    const lines = config.response_delay_pool_access.filter(line => line.subject === name)
    const access = compileAccessList(lines, acls, 'deny')
    return new ResponsePool(access, shapeOf(individual, initial), shapeOf(aggregate, initial))
  })
}

/** More than anybody writes; each is asked for each request. */
const poolsMax = 1024

const levelOf = (name: PoolLevel['name'], rate: Rate, initial: number): PoolLevel[] => {
  const shape = shapeOf(rate, initial)
  return shape === null ? [] : [{ name, shape }]
}

/** Squid fills these once a second, and never above MAX: what is more than that per second never passes. */
const filledOnceASecond = (rate: Rate): Rate =>
  rate === null ? null : { bytesPerSecond: Math.min(rate.bytesPerSecond, rate.burst), burst: rate.burst }

const shapeOf = (rate: Rate, initialPercent: number) =>
  rate === null
    ? null
    : {
        bytesPerSecond: rate.bytesPerSecond,
        burst: rate.burst,
        initial: (rate.burst * initialPercent) / 100,
        fromServerOnly: true,
      }

const accessOf = (lines: Config['delay_access'], pool: number): readonly AccessLine[] =>
  lines.filter(line => Number(line.subject) === pool)

const outOfRange = (lines: readonly { readonly pool: number; readonly at: Location }[], count: number, of: string, problems: Diagnostic[]): void => {
  for (const { pool, at } of lines) {
    if (pool > count) warn(problems, at, `ignoring pool ${pool}: there are ${count}`, `write: ${of} ${pool}`)
  }
}

const subjectsOutOfRange = (lines: Config['delay_access'], count: number, of: string, problems: Diagnostic[]): void => {
  for (const { subject, at } of lines) {
    const pool = /^\d+$/.test(subject) ? Number(subject) : 0
    if (pool === 0) warn(problems, at, `ignoring '${subject}': expecting the number of a pool`, 'pools are counted from 1 on')
    else outOfRange([{ pool, at }], count, of, problems)
  }
}

const warn = (problems: Diagnostic[], at: Location, message: string, hint: string): void =>
  void problems.push({ severity: 'warning', at, message, hint })

const fatal = (problems: Diagnostic[], at: Location, message: string, hint: string): void =>
  void problems.push({ severity: 'fatal', at, message, hint })
