// availability: whether servers are up, found out by asking them, before a client has to.

export { Availability, type AvailabilityOptions, type CheckOutcome, type Watch } from './availability.ts'
export { type Check, type CheckDone, type Checking, httpCheck, programCheck, tcpCheck } from './checks.ts'
