import type { StoredResponse } from '../stored-response.ts'

/** Who is told what becomes of stored responses, for a log of it. Called where a store changes: it must be quick. */
export interface StoreEvents {
  /** It is on disk now, and can be found. `number`: its own in that folder, as long as it is there. */
  written(stored: StoredResponse, number: number): void
  /** Read from disk into memory, to stay there. */
  risen(stored: StoredResponse, number: number): void
  /** It is stored no more; `number` is -1 for what memory alone had. */
  released(stored: StoredResponse, number: number): void
  /** The disk could not take it. */
  refused(stored: StoredResponse): void
}
