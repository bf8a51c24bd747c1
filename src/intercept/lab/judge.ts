import type { AccessRecord } from './access-record.ts'
import type { Sight } from './origin-program.ts'
import type { Expectation } from './script.ts'

/** What the client got from curl. */
export interface Got {
  readonly status: number
  readonly content: string
}

/** Everything that is not as it should be, one sentence each, with the place that says so. Empty: all is well. */
export const judge = (expect: Expectation, got: Got, record: AccessRecord | null, sights: readonly Sight[]): string[] => {
  const wrong: string[] = []
  const same = (where: string, thing: string, seen: string | number, wanted: string | number) => {
    if (seen !== wanted) wrong.push(`${where}: ${thing} is ${seen === '' ? 'empty' : seen}, not ${wanted}`)
  }
  same('client', 'status', got.status, expect.status)
  if (expect.says !== undefined && !got.content.includes(expect.says)) wrong.push(`client: the content does not say '${expect.says}'`)
  if (record === null) wrong.push('proxy: it logged nothing, so it was not in the path')
  else {
    same('proxy', 'status', record.status, expect.status)
    same('proxy', 'result', record.result, expect.result)
    same('proxy', 'the way it was taken', record.taken, expect.taken)
    same('proxy', 'the original destination', record.destination, expect.destination)
    same('proxy', "the original destination's port", record.destinationPort, expect.destinationPort)
    if (expect.originSaw !== null) same('proxy', 'its own end', record.serverLocal, expect.originSaw)
  }
  const [sight] = sights
  if (expect.originSaw === null) {
    if (sight !== undefined) wrong.push(`origin: it was asked for ${sight.path} by ${sight.peer}, and should not have been`)
  } else if (sight === undefined) wrong.push('origin: it was not asked')
  else {
    same('origin', 'the other end', sight.peer, expect.originSaw)
    same('origin', 'its answer', sight.status, expect.originStatus ?? expect.status)
    same('origin', 'the number of requests', sights.length, 1)
  }
  return wrong
}
