// The proxy's own word on a request: a line of the access log in the format `lab` of conf/lab.conf, KEY=VALUE words.

export interface AccessRecord {
  /** The row of the lab's table that asked, '' for requests by hand. */
  readonly row: string
  readonly client: string
  readonly clientPort: number
  readonly destination: string
  readonly destinationPort: number
  readonly taken: string
  readonly result: string
  readonly status: number
  readonly bytes: number
  readonly ms: number
  readonly method: string
  readonly uri: string
  readonly hierarchy: string
  /** Our end towards the server: the client's address when forged; '' when no server was asked. */
  readonly serverLocal: string
  readonly serverLocalPort: number
}

/** Null: not a line of that format. */
export const parseAccessRecord = (line: string): AccessRecord | null => {
  const values = new Map<string, string>()
  for (const word of line.split(' ')) {
    const at = word.indexOf('=')
    if (at > 0) values.set(word.slice(0, at), word.slice(at + 1))
  }
  if (!values.has('client') || !values.has('result')) return null
  const text = (key: string): string => {
    const value = values.get(key) ?? ''
    return value === '-' ? '' : value
  }
  const count = (key: string): number => Number(text(key)) || 0
  return {
    row: text('row'),
    client: text('client'),
    clientPort: count('clientPort'),
    destination: text('destination'),
    destinationPort: count('destinationPort'),
    taken: text('taken'),
    result: text('result'),
    status: count('status'),
    bytes: count('bytes'),
    ms: count('ms'),
    method: text('method'),
    uri: text('uri'),
    hierarchy: text('hierarchy'),
    serverLocal: text('serverLocal'),
    serverLocalPort: count('serverLocalPort'),
  }
}
