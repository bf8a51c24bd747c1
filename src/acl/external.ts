import type { AccessFacts } from './access-facts.ts'

/** What a helper says of a request, for ACLs of type external. */
export interface HelperWord {
  /** What it was asked. */
  readonly line: string
  /** Null: nobody could say. */
  readonly matches: boolean | null
  /** '' = nothing. */
  readonly user: string
  readonly tag: string
  readonly message: string
  readonly log: string
  /** Further keys become notes: name, value, name, value ... */
  readonly notes: readonly string[]
}

/** An external_acl_type; handed in. */
export interface ExternalAcl {
  /** Its question names the user: he is asked for before. */
  readonly needsUser: boolean
  lineFor(facts: AccessFacts, acl: string, words: readonly string[]): string
  /** At once if it was asked lately. Never rejects. */
  ask(line: string): HelperWord | Promise<HelperWord>
}
