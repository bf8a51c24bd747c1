import { declareCounters } from '../base/index.ts'

export const countLog = declareCounters({
  accessLines: { doc: 'lines given to an access log' },
  sessionLines: { doc: 'lines given to session_log' },
  storeLines: { doc: 'lines given to cache_store_log' },
  droppedLines: {
    doc: 'lines thrown away because their log could not be written for long',
    whenItGrows: 'look for "cannot be written" in cache.log: disk full, no permission, or a reader that is too slow',
  },
  writeFailures: {
    doc: 'failed attempts to open or write a log; each is tried again a second later',
    whenItGrows: 'look for "cannot be written" in cache.log',
  },
  suppressedMessages: { doc: 'cache.log messages that were only counted, since the same was said within the minute' },
})
