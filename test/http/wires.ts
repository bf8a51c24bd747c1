import fc from 'fast-check'

// Bytes for property tests: requests that are read whole, and what random changes make of them.

export const host = 'Host: a.example\r\n'

export const accepted: readonly string[] = [
  `GET / HTTP/1.1\r\n${host}\r\n`,
  `GET /a?b=c%20d HTTP/1.0\r\n\r\n`,
  `GET http://b.example/x HTTP/1.1\r\n${host}\r\n`,
  `OPTIONS * HTTP/1.1\r\n${host}\r\n`,
  `CONNECT b.example:443 HTTP/1.1\r\n${host}\r\nnot http`,
  `POST / HTTP/1.1\r\n${host}Content-Length: 5\r\n\r\nhello`,
  `POST / HTTP/1.1\r\n${host}Content-Length: 5\r\n\r\nhelloGET /2 HTTP/1.1\r\n${host}\r\n`,
  `PUT / HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA;x=y;z="q;\\"r"\r\n0123456789\r\n0\r\n\r\n`,
  `PUT / HTTP/1.1\r\n${host}Transfer-Encoding: CHUNKED\r\n\r\n1\r\nx\r\n000\r\nX-Sum: 1\r\nY:\r\n\r\nGET /2 HTTP/1.1\r\n${host}\r\n`,
  `GET / HTTP/1.1\r\n${host}Connection: close\r\n\r\nGET /never HTTP/1.1\r\n${host}\r\n`,
  `GET / HTTP/1.1\r\n${host}A:  x  y\t \r\nB:\r\nC: \xe9\xff\r\n\r\n`,
  `GET /!"$%&'()*+,-./:;<=>?@[\\]^_\`{|}~ HTTP/1.1\r\n${host}\r\n`,
  `\r\n\r\nGET / HTTP/1.1\r\n${host}\r\n`,
  `GET / HTTP/1.1\r\n${host}!#$%&'*+-.^_\`|~09azAZ: x\r\n\r\n`,
  `DELETE / HTTP/1.1\r\n${host}Content-Length: 0\r\n\r\nGET /2 HTTP/1.1\r\n${host}\r\n`,
  `POST / HTTP/1.1\r\n${host}Expect: 100-continue\r\nContent-Length: 1\r\n\r\nx`,
  `M-SEARCH / HTTP/1.1\r\n${host}\r\n`,
]

const interesting = [
  '\r', '\n', '\r\n', ' ', '\t', '\0', ':', ',', ';', '=', '"', '0', '5', 'f', 'x', '\x0b', '\x7f', '\xa0',
]

const lines = [
  'Content-Length: 5\r\n', 'Content-Length: 0\r\n', 'Transfer-Encoding: chunked\r\n', host, 'Connection: close\r\n',
  '\r\n', 'GET /2 HTTP/1.1\r\n', '0\r\n\r\n', '5\r\nhello\r\n', ' folded\r\n',
]

const change = fc.record({
  kind: fc.constantFrom('insert', 'delete', 'replace', 'line', 'double'),
  at: fc.nat(400),
  text: fc.constantFrom(...interesting),
  line: fc.constantFrom(...lines),
})

/** One of `seeds` or two in a row, with up to three changes. */
export const changed = (seeds: readonly string[]): fc.Arbitrary<string> =>
  fc
    .tuple(fc.array(fc.constantFrom(...seeds), { minLength: 1, maxLength: 2 }), fc.array(change, { maxLength: 3 }))
    .map(([requests, changes]) => {
      let text = requests.join('')
      for (const c of changes) {
        const at = c.at % (text.length + 1)
        const lineAt = text.indexOf('\n', at) + 1
        if (c.kind === 'insert') text = text.slice(0, at) + c.text + text.slice(at)
        else if (c.kind === 'delete') text = text.slice(0, at) + text.slice(at + 1)
        else if (c.kind === 'replace') text = text.slice(0, at) + c.text + text.slice(at + 1)
        else if (c.kind === 'line') text = text.slice(0, lineAt) + c.line + text.slice(lineAt)
        else text = text.slice(0, lineAt) + text.slice(at)
      }
      return text
    })

/** Places to cut up to `length` bytes: everywhere, nowhere, or a few. */
export const cutsOf = (length: number): fc.Arbitrary<number[]> =>
  fc.oneof(
    fc.constant(Array.from({ length }, (_, i) => i + 1)),
    fc.array(fc.integer({ min: 1, max: Math.max(1, length) }), { maxLength: 8 }).map(cuts => cuts.toSorted((a, b) => a - b)),
  )
