import type http from 'node:http'

// An origin's side of ranges (RFC 9110 13 and 14), as servers do it: one range, If-Range, If-None-Match.

export interface Ranged {
  readonly content: Buffer
  readonly etag: string | null
  /** Sent with 200, 206 and 304. */
  readonly fields: Readonly<Record<string, string>>
}

export const answerRanged = (request: http.IncomingMessage, response: http.ServerResponse, it: Ranged): void => {
  const { content, etag } = it
  const fields = { ...it.fields, ...(etag === null ? {} : { ETag: etag }), 'Accept-Ranges': 'bytes' }
  request.resume()
  if (etag !== null && request.headers['if-none-match'] === etag) {
    response.writeHead(304, fields).end()
    return
  }
  const condition = request.headers['if-range']
  const told = /^bytes=(\d*)-(\d*)$/.exec(request.headers.range ?? '')
  if (told === null || (condition !== undefined && condition !== etag)) {
    response.writeHead(200, { ...fields, 'Content-Length': content.length }).end(content)
    return
  }
  const suffix = told[1] === ''
  const first = suffix ? Math.max(0, content.length - Number(told[2])) : Number(told[1])
  const last = suffix || told[2] === '' ? content.length - 1 : Math.min(Number(told[2]), content.length - 1)
  if (first >= content.length || last < first) {
    response.writeHead(416, { 'Content-Range': `bytes */${content.length}`, 'Content-Length': 0 }).end()
    return
  }
  const part = content.subarray(first, last + 1)
  response.writeHead(206, { ...fields, 'Content-Range': `bytes ${first}-${last}/${content.length}`, 'Content-Length': part.length })
  response.end(part)
}
