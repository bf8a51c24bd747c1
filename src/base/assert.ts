/** A broken promise inside our own code. Never for what a peer or a user did wrong. */
export class Bug extends Error {
  override name = 'Bug'
}

export function assert(holds: unknown, claim: string): asserts holds {
  if (!holds) throw new Bug(`does not hold: ${claim}`)
}

/** The end of every switch over a union: does not compile while a case is missing. */
export const unreachable = (value: never): never => {
  throw new Bug(`unreachable: ${String(value)}`)
}
