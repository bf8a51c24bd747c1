import type { FieldView } from '../base/index.ts'
import { mayRead, type Manager, type ManagerPassword, type PageRefusal, type Protection, protectionOf, refusedPage, type RegisteredPage, type Rendered } from '../manager/index.ts'

// One request for a page, whatever it came by. What the client may ask has been settled before (http_access, or the
// file mode of the socket); here is what he asks for.

/** Where the pages are: what comes behind it is a page's name. Squid's. */
export const managerPath = '/squid-internal-mgr/'

export interface AdminRequest {
  readonly method: string
  /** Path and query of the target. */
  readonly path: string
  /** Authorization and Accept are looked at. */
  readonly fields: FieldView
  /** Content of a POST, as a form writes it; '' = none. */
  readonly form: string
  /** That came with the page's name; absent or null: Authorization may have one. */
  readonly password?: string | null
}

export interface AdminAnswer {
  readonly status: number
  /** name, value, ... with Content-Type and Content-Length. */
  readonly pairs: readonly string[]
  readonly content: Buffer
}

export interface PageDoor {
  readonly manager: Manager
  /** Null: whoever comes by this door needs no password. */
  readonly passwords: (() => readonly ManagerPassword[]) | null
}

/** Never rejects for what is asked; a page that throws does. */
export const answerPage = async (door: PageDoor, request: AdminRequest): Promise<AdminAnswer> => {
  const { name, args } = asked(request)
  const page = door.manager.find(name)
  const wantsJson = prefersJson(args, request.fields)
  if (page === null) return refused(refusedPage(404, `there is no page '${name}'; 'menu' lists those there are`), wantsJson)
  if (door.passwords !== null) {
    const lines = door.passwords()
    // no password opens these: to ask for one would only make its owner type it
    const shut = shutBecause[protectionOf(page, lines)]
    if (shut !== undefined) return refused(refusedPage(404, `'${name}' is ${shut}`), wantsJson)
    if (!mayRead(page, lines, request.password ?? passwordIn(request.fields))) return unauthorised(name)
  }
  const allow = methodsOf(page)
  if (!allow.includes(request.method)) return wrongMethod(name, allow)
  const rendered = await page.render(args)
  return rendered.ok ? written(rendered, wantsJson) : refused(rendered, wantsJson)
}

const asked = ({ path, form }: AdminRequest): { readonly name: string; readonly args: URLSearchParams } => {
  const query = path.indexOf('?')
  const end = query < 0 ? path.length : query
  const name = path.startsWith(managerPath) ? path.slice(managerPath.length, end) : path.slice(1, end)
  const args = new URLSearchParams(query < 0 ? '' : path.slice(query + 1))
  for (const [key, value] of new URLSearchParams(form)) args.append(key, value)
  return { name: name === '' ? 'menu' : name.toLowerCase(), args }
}

const methodsOf = (page: RegisteredPage): readonly string[] => {
  switch (page.effect) {
    case 'shows':
      return ['GET', 'HEAD']
    case 'changes':
      return ['POST']
    case 'either':
      return ['GET', 'POST']
  }
}

/** `?format=json`, or an Accept that names JSON and no text before it. */
const prefersJson = (args: URLSearchParams, fields: FieldView): boolean => {
  const format = args.get('format')
  if (format !== null) return format === 'json'
  const accept = fields.joined('accept') ?? ''
  const json = accept.indexOf('application/json')
  const text = accept.search(/text\/(?:plain|\*|html)/)
  return json >= 0 && (text < 0 || json < text)
}

/** RFC 7617: any user name, as Squid. */
const passwordIn = (fields: FieldView): string | null => {
  const match = /^Basic +([A-Za-z0-9+/=]+)$/i.exec(fields.get('authorization') ?? '')
  if (match === null) return null
  const text = Buffer.from(match[1] ?? '', 'base64').toString('utf8')
  const colon = text.indexOf(':')
  return colon < 0 ? null : text.slice(colon + 1)
}

const written = (rendered: Rendered, json: boolean): AdminAnswer =>
  json ? made(200, 'application/json', rendered.json()) : made(200, plain, rendered.text())

/** The answer of who has no pages of his own to ask. */
export const refusedAnswer = (status: PageRefusal['status'], reason: string): AdminAnswer => refused(refusedPage(status, reason), false)

const refused = ({ status, reason }: PageRefusal, json: boolean): AdminAnswer =>
  json ? made(status, 'application/json', `${JSON.stringify({ error: reason })}\n`) : made(status, plain, `${reason}\n`)

const shutBecause: Partial<Record<Protection, string>> = {
  disabled: 'disabled (cachemgr_passwd disable)',
  hidden: 'for those who know its password, and none is set (cachemgr_passwd)',
}

const unauthorised = (name: string): AdminAnswer =>
  made(401, plain, `'${name}' needs its password (cachemgr_passwd)\n`, ['WWW-Authenticate', `Basic realm="${name.replace(/[^a-z0-9_]/g, '')}"`])

const wrongMethod = (name: string, allow: readonly string[]): AdminAnswer =>
  made(405, plain, `'${name}' is asked for with ${allow.join(' or ')}\n`, ['Allow', allow.join(', ')])

const plain = 'text/plain;charset=utf-8'

const made = (status: number, type: string, text: string, more: readonly string[] = []): AdminAnswer => {
  const content = Buffer.from(text, 'utf8')
  return {
    status,
    content,
    // Squid's pages say the same to caches: what it was a moment ago helps nobody
    pairs: ['Content-Type', type, 'Content-Length', String(content.length), 'Cache-Control', 'no-store', 'X-Content-Type-Options', 'nosniff', ...more],
  }
}
