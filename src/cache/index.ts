// cache: what may be stored, what may be reused, and where it is kept meanwhile (RFC 9111 and refresh_pattern).
//
// holds          the rules, pure and dated, each answer with a reason from a closed table; stored responses; the store
//                contract and its stores; fetches that several requests live on
// does not hold  requests to origins, connections, conf parsing, access lists, log lines
// called by      proxy (its steps lookup, validate, fetch, deliver), cli (assembly), manager pages
// calls          base, http
//
// One request in order:
//
//   cacheKey ─► store.lookup ─► chooseVariant ─► reuse ─► fresh, stale: conditionOf, head + Age + body
//                    │              │ none: missed          validate: validationOf ─► 304: namedBy304, freshened
//                    ▼              ▼                       no: fetch                 5xx, no answer: staleOnError
//                 nothing        fetch ─► admit ─► store.open ─► append … ─► complete
//                                  └─ collapsed: Collapse.find / begin, Growing

export { type Admission, admit, fieldsForOne } from './admit.ts'
export * from './cache-status.ts'
export * from './collapse.ts'
export * from './conditional.ts'
export { type ExplainedStored, explainStored } from './explain-stored.ts'
export type { ContentReader, ContentSource, FileStretch } from './content-source.ts'
export {
  afterHead, type Freshened, freshened, freshenReasons, keepFreshened, mayStayStored, namedBy304, outdated, type Update,
} from './freshen.ts'
export {
  type FollowFailure, followFailures, Follower, type FollowReader, Growing, type GrowingLimits, type GrowingSource,
  type ReleaseReason, releaseReasons,
} from './growing.ts'
export * from './invalidation.ts'
export * from './key.ts'
export { mergeParts } from './merge-parts.ts'
export {
  asPart, brokenOff, continues, fieldsTogether, isSettled, type PartRange, PartialResponse, partStatus, rangeOfPart, sameRepresentation,
  strongValidatorOf, takesPlaceOf, wholeOf,
} from './parts.ts'
export * from './policy.ts'
export { type PurgeParts, purgeKey, purgeSelected } from './purge.ts'
export { fetchesOn, type QuickAbort } from './quick-abort.ts'
export * from './refresh-pattern.ts'
export * from './request-facts.ts'
export {
  missed, reuse, type Reuse, reuseAnswer, type ReuseKind, reuseKinds, type ReuseReason, reuseReasons, timeToLive,
} from './reuse.ts'
export * from './selection.ts'
export * from './stale-on-error.ts'
export { type Exchange, partTold, type StoreReason, storeReasons } from './storable.ts'
export { fieldsOfHead, flag, type FreshnessSource, freshnessSources, StoredResponse } from './stored-response.ts'
export { diskCounters, type DiskLimits, type DiskOptions } from './store/disk/disk-options.ts'
export { DiskStore } from './store/disk/disk-store.ts'
export { type DirChoice, Disks } from './store/disk/disks.ts'
export { prepareFolder } from './store/disk/folder.ts'
export { cut, type Segment, SplicedContent } from './spliced-content.ts'
export type { ChangeSignal, OpenSignal } from './store/disk/sharing.ts'
export { type DiskOpened, openDisk } from './store/disk/open-disk.ts'
export { lendableBytesMin, moveToLent } from './lent-content.ts'
export { memoryCounters, MemoryStore } from './store/memory.ts'
export { removalPolicies, type RemovalPolicy } from './store/removal-policy.ts'
export { changesBytes, SharedChanges } from './store/shared-changes.ts'
export { SharedMemory } from './store/shared-memory.ts'
export type { StoreEvents } from './store/store-events.ts'
export * from './store/store.ts'
export { TieredStore, type TierRules } from './store/tiers.ts'
export { noTags, type TagPolicy, tagPolicies, tagsOf, withoutTags } from './tags.ts'
export { addConditions, dropConditions, dropRange, isConditional, type Validation, validationOf } from './validation.ts'
export { chooseVariant, type Selecting, selects } from './vary.ts'
