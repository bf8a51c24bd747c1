// helper: programs that answer questions, one line each (Squid's helpers).
//
// holds          children and their queue, the line protocol, what becomes of a program that dies, hangs or talks nonsense
// does not hold  what is asked and what an answer means (auth, proxy, cli); programs in the middle of a session (proxy/stack)
// called by      auth; cli makes the pools and hands them on
// calls          base

export type { Talk } from './talk.ts'
export { CountHelper } from './counters.ts'
export { type HelperAnswer, type HelperChildren, type HelperDeps, type HelperOptions, HelperPool } from './helper-pool.ts'
export { escapeField, type HelperReply, parseReply, quoteField, unescapeField } from './protocol.ts'
