// service: a named bundle of proxy, router and chainer, with its limit and its sessions.
//
// holds          services, sessions and their serial numbers, limits (census), the record at a session's end; listing and stopping
// does not hold  which connection belongs to which service (dispatch), protocols (proxy)
// called by      dispatch (handed in), proxy and log through the Session contract; cli builds it
// calls          base

import type { Connection } from '../../comm/connection.ts'
import { assert } from '../base/index.ts'
import { NamedService, type Refused } from './named-service.ts'
import type { Service } from './service.ts'
import { type Decided, type Session, undecided } from './session.ts'

export { Census, noLimits, ServiceMemory, SessionCounts, type SessionLimits } from './census.ts'
export { createService, NamedService, type Refused, type ServiceOptions, type SessionRecord } from './named-service.ts'
export type { Service } from './service.ts'
export { StackedSession } from './stacked-session.ts'
export { type Decided, type Session, type Speaker, undecided, type Verdict, verdicts } from './session.ts'

/** Starts a session on a connection the dispatcher took, or closes it and says why not. */
export const startSession = (
  service: Service,
  connection: Connection,
  portName: string,
  decided: Decided = undecided,
): Session | Refused => {
  assert(service instanceof NamedService, 'services are made by createService')
  return service.start(connection, portName, decided)
}

export const isRefused = (answer: Session | Refused): answer is Refused => 'refused' in answer
