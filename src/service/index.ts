// service: a named bundle of proxy, router and chainer, with its limit and its sessions.
//
// holds          services, sessions and their serial numbers, limits, the record at a session's end; listing and stopping
// does not hold  which connection belongs to which service (dispatch), protocols (proxy)
// called by      dispatch (handed in), proxy and log through the Session contract; cli builds it
// calls          base

import type { Connection } from '../../comm/connection.ts'
import { assert } from '../base/index.ts'
import { NamedService, type Refused } from './named-service.ts'
import type { Service } from './service.ts'
import type { Session } from './session.ts'

export { createService, NamedService, type Refused, type ServiceOptions, type SessionRecord } from './named-service.ts'
export type { Service } from './service.ts'
export { type Session, type Speaker, type Verdict, verdicts } from './session.ts'

/** Starts a session on a connection the dispatcher took, or closes it and says why not. */
export const startSession = (service: Service, connection: Connection, portName: string): Session | Refused => {
  assert(service instanceof NamedService, 'services are made by createService')
  return service.start(connection, portName)
}

export const isRefused = (answer: Session | Refused): answer is Refused => 'refused' in answer
