export { groupLines, groupNumber, readGroupNames } from './group-names.ts'
export { FollowedInterfaces, type Interfaces } from './interfaces.ts'
export type { Interface, InterfaceAddress } from './table.ts'
export { WatchedInterfaces, watchedEveryMs } from './watched.ts'
