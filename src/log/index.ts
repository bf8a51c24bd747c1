// log: what happened, in files people and tools read.
//
// holds          the access log with Squid's formats and any logformat, result codes as Squid spells them, cache.log
//                with its sections and levels; the files, system log and collectors they go to: never in the way of traffic
// does not hold  what happened (the Outcome of base, filled by the rooms), access lists (a condition is handed in)
// called by      proxy, service (by interface); cli makes, rotates and closes them
// calls          base, http

export { traceRecord } from './record-trace.ts'
export { type AccessLog, type AccessLogOptions, checkLogFormats, createAccessLog, type LineCondition } from './access-log.ts'
export { countLog } from './counters.ts'
export { createDebugLog, type DebugLog, type DebugLogConf, type DebugLogOptions } from './debug-log.ts'
export { type DebugSection, debugSections, type SectionLevels } from './debug-sections.ts'
export { type LogFileSystem, systemLogFiles } from './file-system.ts'
export { compileText, type FormatProblem } from './format/compile-format.ts'
export { resultText } from './result-text.ts'
export type { LocalDatagrams } from './syslog.ts'
export { clientMask, maskedOutcome } from './client-mask.ts'
export { createStoreLog, keyText, type StoreAction, type StoreLine, storeActions, type StoreLog, storeLine, timesOf } from './store-log.ts'
export { createKeyLog, type KeyLog, type KeyLogOptions } from './key-log.ts'
export { createSessionLog, type SessionLog, sessionLine } from './session-log.ts'
