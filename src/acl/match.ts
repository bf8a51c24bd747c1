// What an ACL answers about the facts of one request. Plain numbers: an answer must cost nothing.

/**
 * 0 no, 1 yes, 2 not before something is looked up (`facts.learn()`), 3 cannot be told (a
 * regex ran out of steps), 4 not before the client says who it is, 5 not before the TLS client has named its server.
 */
export type Match = 0 | 1 | 2 | 3 | 4 | 5

export const mismatched = 0
export const matched = 1
export const unlearned = 2
export const untold = 3
export const unproven = 4
export const unnamed = 5

/** The matcher of what is true of every request. Lists tell by its identity that they need not ask. */
export const always = (): Match => matched
