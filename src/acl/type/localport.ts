import type { AclType } from '../acl.ts'
import { portMatcher } from './port.ts'

/** The port the client connected to; for intercepted connections the original one, mostly 80. */
export const localport = {
  fact: facts => `local port ${facts.local.port}`,
  compile: source => portMatcher(source, facts => facts.local.port),
} satisfies AclType
