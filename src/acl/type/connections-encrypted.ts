import type { AclType } from '../acl.ts'
import { mismatched } from '../match.ts'

/** Every connection of the transaction so far was TLS. What the proxy reads came in clear text: never, yet. */
export const connectionsEncrypted = {
  fact: () => 'clear text',
  compile: () => () => mismatched,
} satisfies AclType
