// `http://user:pass@host/`: what clients that were given a URL with a password send to their forward proxy, instead of
// Authorization, which is what origins understand. Squid makes one into the other, and so it is done here, where the head is
// read: from then on nobody sees the password in a URI, neither a log, a cache key, a page nor another program.

export interface TakenUser {
  /** The target without it. */
  readonly target: string
  /** The value of Authorization; '' = there was nothing before the `@`. */
  readonly authorization: string
}

/**
 * Of a target in absolute-form. Null: it has none, or one that could be read in two ways: a second `@`, a character RFC
 * 3986 3.2.1 does not have there (`http://good.test\@bad.test/`), a colon within the name, a control character (RFC 7617 2).
 */
export const takeUser = (target: string): TakenUser | null => {
  const [, scheme = '', written = '', rest = ''] = form.exec(target) ?? []
  if (scheme === '') return null
  if (written === '') return { target: scheme + rest, authorization: '' }
  const [name = '', ...password] = written.split(':')
  if (encodedColon.test(name)) return null
  // who names no password has an empty one (curl, wget): without the colon it would be no Basic at all
  const login = `${name}:${password.join(':')}`.replace(encodedByte, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)))
  return control.test(login) ? null : { target: scheme + rest, authorization: `Basic ${Buffer.from(login, 'latin1').toString('base64')}` }
}

const form = /^(https?:\/\/)((?:[a-z0-9\-._~!$&'()*+,;=:]|%[0-9a-f]{2})*)@([^@/?]+(?:[/?].*)?)$/i
const encodedColon = /%3a/i
const encodedByte = /%([0-9a-f]{2})/gi
const control = /[\0-\x1f\x7f]/
