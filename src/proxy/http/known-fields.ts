/**
 * Fields Squid has a name for, lower case: rules for `Other` are about all the rest. Which they are is its implementers'
 * choice (src/http/RegisteredHeaders), not a standard's.
 */
export const knownFields: ReadonlySet<string> = new Set([
  'accept', 'accept-charset', 'accept-encoding', 'accept-language', 'accept-ranges', 'age', 'allow', 'alternate-protocol',
  'authentication-info', 'authorization', 'cache-control', 'cache-status', 'cdn-loop', 'connection', 'content-base',
  'content-disposition', 'content-encoding', 'content-language', 'content-length', 'content-location', 'content-md5',
  'content-range', 'content-type', 'cookie', 'cookie2', 'date', 'etag', 'expect', 'expires', 'forwarded', 'from',
  'front-end-https', 'ftp-arguments', 'ftp-command', 'ftp-pre', 'ftp-reason', 'ftp-status', 'host', 'if-match',
  'if-modified-since', 'if-none-match', 'if-range', 'if-unmodified-since', 'keep-alive', 'key', 'last-modified', 'link',
  'location', 'max-forwards', 'mime-version', 'negotiate', 'origin', 'pragma', 'proxy-authenticate',
  'proxy-authentication-info', 'proxy-authorization', 'proxy-connection', 'proxy-support', 'public', 'range', 'referer',
  'request-range', 'retry-after', 'server', 'set-cookie', 'set-cookie2', 'surrogate-capability', 'surrogate-control', 'te',
  'title', 'trailer', 'transfer-encoding', 'translate', 'unless-modified-since', 'upgrade', 'user-agent', 'vary', 'via',
  'warning', 'www-authenticate', 'x-accelerator-vary', 'x-forwarded-for', 'x-next-services', 'x-squid-error',
])
