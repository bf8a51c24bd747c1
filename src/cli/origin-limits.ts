import type { Comm } from '../../comm/index.ts'
import { ms } from '../base/index.ts'
import { type BesideLimits, type OriginLimits, usualOriginLimits } from '../chainer/index.ts'
import type { Config } from '../conf/index.ts'

// Limits of connections to servers, as the conf says.

/** A third of the descriptors: each exchange needs two, and clients that only wait need theirs. */
const originShare = 1 / 3

/** Of connections that are kept for more requests. */
export const originLimits = (config: Config, comm: Comm): Partial<OriginLimits> => ({
  connectionsMax: Math.max(16, Math.min(usualOriginLimits.connectionsMax, Math.floor(comm.budget.fdMax * originShare))),
  readTimeout: config.read_timeout,
  brokenPersistence: config.detect_broken_pconn ? ms(10_000) : ms(0), // Squid's ten seconds
  writeTimeout: config.write_timeout,
  idleTimeout: config.server_idle_pconn_timeout,
  keptAgeMax: config.pconn_lifetime,
  responseHeadBytesMax: config.reply_header_max_size,
  persistent: config.server_persistent_connections,
})

/** Of attempts at another address beside one that is slow. */
export const besideLimits = (config: Config): BesideLimits => ({
  after: ms(config.happy_eyeballs_connect_timeout),
  gap: config.happy_eyeballs_connect_gap,
  most: config.happy_eyeballs_connect_limit,
})
