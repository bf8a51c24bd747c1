import type { Next } from './steps.ts'
import type { Transaction } from './transaction.ts'
import { annotate } from './annotate.ts'
import { tellClientMarks } from './packets.ts'
import { sayWhy } from './why.ts'

/** The record, and the connection goes on to the next request or ends. */
export const finish = (t: Transaction): Next => {
  if (t.over) return 'done'
  const o = t.outcome
  const client = t.client
  o.endedMono = client.deps.clock.mono()
  o.sessionId = client.sessionId
  if (t.content !== null) {
    o.requestContentBytes = t.content.bytes
    // the answer came before the content was read: what is left on the wire is not a request
    if (!t.content.complete) {
      t.keepAlive = false
      t.content.discard()
    } else t.content.quicken()
  }
  if (t.policy.clientPersistent === false) t.keepAlive = false
  if (client.packets !== null) tellClientMarks(o, client.packets)
  sayWhy(o)
  if (t.policy.notes !== null) annotate(t, t.policy.notes)
  client.deps.record(o)
  t.end()
  return 'done'
}
