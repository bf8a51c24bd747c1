import type { AccessFacts, AccessList } from '../../acl/index.ts'
import type { Outcome } from '../../base/index.ts'
import { type HelperAnswer, parseReply } from '../../helper/index.ts'
import { httpDate, parseAbsolute, parseAuthority, reasonPhrase, type TargetUri } from '../../http/index.ts'
import { goElsewhere, targetText } from './elsewhere.ts'
import { product } from './page-template.ts'
import { sendWhole } from './response.ts'
import type { Next } from './steps.ts'
import type { Transaction } from './transaction.ts'

// url_rewrite_program, or the conf's own rewrite lines in the place of it: a program is told of each request and may put another URI in its place, or send the client
// elsewhere. From then on the new URI is the request's; the log keeps the client's.

export interface Rewriter {
  /** Null: all requests. */
  readonly access: AccessList | null
  /** Never rejects. */
  readonly ask: (outcome: Outcome, facts: AccessFacts) => Promise<HelperAnswer>
  /** The Host field follows. */
  readonly hostFollows: boolean
  /** What an answer that does not come means; a text is taken for the answer. */
  readonly silence: { readonly kind: 'bypass' | 'fail' | 'retry' } | { readonly kind: 'answer'; readonly text: string }
}

export type Rewriting =
  | { readonly kind: 'none' }
  | { readonly kind: 'redirect'; readonly status: number; readonly location: string }
  | { readonly kind: 'rewrite'; readonly uri: string }

const none: Rewriting = { kind: 'none' }

/** Squid's words, and those of helpers from before 3.4: `302:URL`, a URL alone, nothing. */
export const rewritingIn = (line: string): Rewriting => {
  const { result, values, text } = parseReply(line)
  if (result === 'ERR' || result === 'BH') return none
  if (result === '') return formerly(text.split(' ', 1)[0] ?? '')
  const url = values.get('url')
  if (url !== undefined) return redirect(Number(values.get('status') ?? 302), url)
  const uri = values.get('rewrite-url')
  if (uri !== undefined && uri !== '') return { kind: 'rewrite', uri }
  return none
}

const formerly = (word: string): Rewriting => {
  if (word === '') return none
  const found = /^(\d{3}):(.*)$/s.exec(word)
  return found === null ? { kind: 'rewrite', uri: word } : redirect(Number(found[1]), found[2] ?? '')
}

const redirect = (status: number, location: string): Rewriting => {
  const known = [301, 302, 303, 307, 308].includes(status)
  return known && location !== '' && !/[\0-\x20\x7f]/.test(location) ? { kind: 'redirect', status, location } : none
}

/** Null: it goes on, perhaps as another request. */
export const rewrite = async (t: Transaction, rewriter: Rewriter): Promise<Next | null> => {
  const decision = rewriter.access === null ? null : await rewriter.access.check(t.facts)
  if (t.over) return 'done'
  if (decision?.allowed === false) return null
  const answer = await answered(t, rewriter)
  if (t.over) return 'done'
  if (answer === null) return t.refuse('helper-failed', 'the program that judges requests does not answer')
  annotate(t, answer)
  const rewriting = rewritingIn(answer)
  if (rewriting.kind === 'redirect') return sendElsewhere(t, rewriting.status, rewriting.location)
  if (rewriting.kind === 'rewrite') putInPlace(t, rewriting.uri, rewriter)
  return null
}

/** Keys with a meaning of their own. */
const own: ReadonlySet<string> = new Set(['url', 'status', 'rewrite-url', 'clt_conn_tag'])

/** What else a program says is an annotation of the request; clt_conn_tag is one of the connection. */
const annotate = (t: Transaction, answer: string): void => {
  const { values, pairs } = parseReply(answer)
  const tag = values.get('clt_conn_tag')
  if (tag !== undefined) for (const notes of [t.facts.notedOfClient(), t.facts.noted()]) notes.set('clt_conn_tag', tag)
  const others = pairs.filter((_, i) => !own.has(pairs[i - (i % 2)] ?? ''))
  if (others.length > 0) t.facts.noted().take(others)
}

/** Null: there is none, and the request must not go on without. */
const answered = async (t: Transaction, { ask, silence }: Rewriter): Promise<string | null> => {
  const first = await ask(t.outcome, t.facts)
  if (first.ok) return first.text
  const answer = silence.kind === 'retry' && !t.over ? await ask(t.outcome, t.facts) : first
  if (answer.ok) return answer.text
  return silence.kind === 'bypass' ? 'ERR' : silence.kind === 'answer' ? silence.text : null
}

/** A URI that is none is not gone to: the request stays what it was (Squid). */
const putInPlace = (t: Transaction, text: string, rewriter: Rewriter): void => {
  const target = targetOf(t, text)
  if (target === null) {
    t.client.deps.notices.badRewriting(t.outcome.uri, text)
    return
  }
  if (targetText(target) === t.outcome.uri) return
  // a Host that nobody has verified must not reach a key
  if (t.unverified && !rewriter.hostFollows) t.identified = false
  goElsewhere(t, target, rewriter.hostFollows ? 'whole' : 'all but Host')
}

/** A path alone is one of the same site. */
const targetOf = (t: Transaction, text: string): TargetUri | null => {
  if (/[\0-\x20\x7f]/.test(text)) return null
  if (t.head.method === 'CONNECT') {
    const authority = parseAuthority(text)
    return authority === null || authority.port === 0 ? null : { scheme: 'tunnel', host: authority.host, port: authority.port, path: '' }
  }
  if (text.startsWith('/') && t.target !== null) return { ...t.target, path: text }
  return parseAbsolute(text)
}

const sendElsewhere = (t: Transaction, status: number, location: string): Next => {
  if (t.content !== null && !t.content.complete) t.keepAlive = false
  t.outcome.result = 'TCP_REDIRECT'
  const pairs = ['Server', product(t), 'Date', httpDate(t.outcome.startedAt), 'Content-Length', '0', 'Location', location]
  sendWhole(t, status, reasonPhrase(status), pairs, nothing)
  return 'finish'
}

const nothing = Buffer.alloc(0)
