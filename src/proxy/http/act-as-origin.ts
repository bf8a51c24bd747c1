import type { WallMs } from '../../base/index.ts'
import { httpDate, parseHttpDate } from '../../http/index.ts'
import type { Transaction } from './transaction.ts'

// act-as-origin of accel ports: a stored response leaves as if the origin had made it now. Its Date is the present, its
// Expires as far behind that as it had been; what they were, and the age, stand in fields of Squid's own.

export const actsAsOrigin = ({ client: { port } }: Transaction): boolean => port.accel !== null && port.accel.actsAsOrigin

/** Of a head without its empty line. */
export const headOfOrigin = (head: string, now: WallMs): string => {
  const date = /^Date: *(.*)\r\n/im.exec(head)
  const expires = /^Expires: *(.*)\r\n/im.exec(head)
  const made = date === null ? null : parseHttpDate(date[1] ?? '', now)
  const until = expires === null ? null : parseHttpDate(expires[1] ?? '', now)
  let told = head
  if (date !== null) told = told.replace(date[0], () => `X-Origin-Date: ${date[1]}\r\nDate: ${httpDate(now)}\r\n`)
  if (expires !== null && made !== null && until !== null) {
    told = told.replace(expires[0], () => `X-Origin-Expires: ${expires[1]}\r\nExpires: ${httpDate((now + Math.max(0, until - made)) as WallMs)}\r\n`) // later is a time, too
  }
  return told
}
