import type { Connection } from '../../comm/connection.ts'
import type { MonoMs } from '../base/index.ts'
import { ClientSession } from './client-session.ts'
import type { Decided, Session } from './session.ts'

/** A connection that a session has taken beside its first one: with that one's number, and a place of its own. */
export class FurtherSession extends ClientSession {
  readonly #place: number

  constructor(first: Session, place: number, client: Connection, startedMono: MonoMs, decided: Decided) {
    super(first.service, first.number, client, first.portName, startedMono, decided)
    this.#place = place
  }

  override get id(): string {
    return `${super.id}+${this.#place}`
  }
}
