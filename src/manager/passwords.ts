import { createHash, timingSafeEqual } from 'node:crypto'

// cachemgr_passwd, with Squid's meanings. It is about those who come over the network and whom http_access has let in.

/** A line: `PASSWORD|none|disable ACTION ...|all`. */
export interface ManagerPassword {
  readonly password: string
  readonly actions: readonly string[]
}

/** As Squid's menu writes them. */
export const protections = {
  public: 'to whoever http_access lets in',
  protected: 'with its password',
  hidden: 'to nobody: it needs a password, and none is set',
  disabled: 'to nobody: the conf says disable',
} as const

export type Protection = keyof typeof protections

/** The first line that names the page, or `all`, counts. */
const passwordOf = (name: string, lines: readonly ManagerPassword[]): string | null =>
  lines.find(line => line.actions.includes(name) || line.actions.includes('all'))?.password ?? null

export const protectionOf = (
  page: { readonly name: string; readonly protection: 'public' | 'protected' },
  lines: readonly ManagerPassword[],
): Protection => {
  const password = passwordOf(page.name, lines)
  if (password === null) return page.protection === 'protected' ? 'hidden' : 'public'
  if (password === 'disable') return 'disabled'
  return password === 'none' ? 'public' : 'protected'
}

/** `given`: the password of the request, null = none. */
export const mayRead = (
  page: { readonly name: string; readonly protection: 'public' | 'protected' },
  lines: readonly ManagerPassword[],
  given: string | null,
): boolean => {
  const protection = protectionOf(page, lines)
  if (protection !== 'protected') return protection === 'public'
  const password = passwordOf(page.name, lines)
  return given !== null && password !== null && samePassword(given, password)
}

/** Takes the same time whatever the first different letter is. */
export const samePassword = (a: string, b: string): boolean => timingSafeEqual(digest(a), digest(b))

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
