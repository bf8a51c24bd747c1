// Passwords never get into a log, whatever a format asks for: credentials of a field keep their scheme, and user
// information of a URI goes, wherever it stands. Cookies are left: who logs them has asked for them by name.

const credentials: ReadonlySet<string> = new Set(['authorization', 'proxy-authorization'])

/** A field's value as a log may have it. `lowerName` in lower case. */
export const withoutSecrets = (lowerName: string, value: string): string => {
  if (credentials.has(lowerName)) return value.replace(/^([!#$%&'*+.^_`|~0-9A-Za-z-]+)?.*$/s, schemeAlone)
  return value.includes('@') && value.includes('//') ? value.replace(/(\/\/)[^/?#\s"<>@]*@(?:[^/?#\s"<>@]*@)*/g, '$1') : value
}

/** One word alone may be the secret itself. */
const schemeAlone = (whole: string, scheme = ''): string => (scheme === '' || scheme.length === whole.length ? '***' : `${scheme} ***`)
