import type { RouteHint } from '../router/index.ts'

/** A plug knows nothing of servers: the router decides, and whether it goes there in the client's name. */
const hint: RouteHint = {
  host: null,
  port: 0,
  pinned: true,
  forge: true,
  sourceIPv4: null,
  sourceIPv6: null,
  mark: undefined,
  tos: undefined,
}

export const plugHint = (): RouteHint => hint
