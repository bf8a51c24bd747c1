import type { Next } from '../steps.ts'
import type { Transaction } from '../transaction.ts'
import { admitConnect } from './admit-connect.ts'

// on_unsupported_protocol tunnel, on a port for HTTP: what the client has said, and all else, goes to where it was going,
// if http_access lets a CONNECT go there.

/** A request line of HTTP/1, whatever else is wrong with the head. */
const requestLine = /^[!-~]+ [^ ]+ HTTP\/1\.[01]\r?$/

/** Does what has come so far, from the first byte of the connection, speak of another protocol? */
export const isOther = (bytes: Buffer, start: number, end: number): boolean => {
  const newline = bytes.indexOf(10, start)
  const line = bytes.toString('latin1', start, newline < 0 || newline > end ? end : newline)
  return !requestLine.test(line)
}

export const tunnelUnknown = async (t: Transaction): Promise<Next> => {
  const { connection } = t.client
  const close = (): Next => {
    t.bumping = null
    t.outcome.error ??= t.failure?.code ?? null
    t.outcome.errorDetail ||= t.failure?.message ?? ''
    connection.close('refused')
    return 'finish'
  }
  t.bumping = { begin() {}, refuse: close }
  const admission = await admitConnect(t)
  if (t.over) return 'done'
  return admission === 'allowed' ? 'tunnel' : close()
}
