// base: what every room may use and what needs nothing of ours.
//
// holds          units, clock and deadlines, addresses, errors and their table, counters, the Outcome record, assert
// does not hold  anything that knows a protocol, a socket or a file
// called by      every room
// calls          nobody

export * from './address.ts'
export * from './assert.ts'
export * from './clock.ts'
export * from './clock-steps.ts'
export * from './counters.ts'
export * from './deadlines.ts'
export * from './error.ts'
export * from './error-table.ts'
export * from './give-up.ts'
export * from './notes.ts'
export * from './icap-record.ts'
export * from './outcome.ts'
export * from './prefix.ts'
export * from './units.ts'
