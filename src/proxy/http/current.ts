import type { Outcome } from '../../base/index.ts'
import type { Speaker } from '../../service/session.ts'
import { HttpClient } from './client.ts'

/** What a session's proxy is at work on: the record as far as it is filled. Null: nothing, or it is not the http proxy. */
export const currentRequest = (speaker: Speaker | null): Readonly<Outcome> | null =>
  speaker instanceof HttpClient ? speaker.current : null
