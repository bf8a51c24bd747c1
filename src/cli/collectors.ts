import { readdirSync, readFileSync } from 'node:fs'
import os from 'node:os'

/** What V8's own threads are called (Node 24 and later name them); they collect garbage and compile. */
const names = /V8Worker/
const politely = 10

/**
 * From now on V8's threads have what the event loop leaves (setpriority(2), of a thread alone on Linux). A core each they
 * are as quick as before; on one core for all, four of them may have four fifths of it during each collection, and clients
 * waited for tens of milliseconds. When the loop waits for them the core is theirs. Answers how many there are.
 */
export const clientsBeforeCollectors = (): number => {
  let found = 0
  for (const thread of threads()) {
    try {
      if (!names.test(readFileSync(`/proc/self/task/${thread}/comm`, 'utf8'))) continue
      os.setPriority(Number(thread), politely)
      found++
    } catch {
      // it has ended meanwhile
    }
  }
  return found
}

const threads = (): readonly string[] => {
  try {
    return readdirSync('/proc/self/task')
  } catch {
    return [] // no /proc
  }
}
