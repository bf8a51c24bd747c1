import { type Clock, elapsed, type MonoMs, newOutcome, type Outcome, wallMs } from '../base/index.ts'
import type { Session } from '../service/session.ts'

/** The record of a connection that ends now, and came to no request. */
export const connectionOutcome = (session: Session, startedMono: MonoMs, clock: Clock): Outcome => {
  const endedMono = clock.mono()
  const outcome = newOutcome({
    // the wall clock may have been set meanwhile; the monotonic one tells how long ago it was
    startedAt: wallMs(clock.wall() - elapsed(startedMono, endedMono)),
    startedMono,
    client: session.client.peer,
    clientLocal: session.destination,
    portName: session.portName,
    taken: session.taken,
  })
  outcome.endedMono = endedMono
  outcome.introduced = session.client.introduced ?? null
  outcome.sessionId = session.id
  return outcome
}
