import type { Line } from '../line.ts'

// A directive is one entry of the table: the parser, the defaults, the documented conf and the reference page all come
// from it. What a directive does is in the rooms; here is what it is.

/** How the words after a directive's name become a value. */
export interface Kind<T> {
  /** The words as the documentation shows them. */
  readonly grammar: string
  /** What the words must keep to, for the documentation; '' if there is nothing to say. */
  readonly limits: string
  /** The value while nothing was read. */
  readonly initial: T
  /** List kinds add to `before`. undefined: refused, and the line has said why. */
  read(line: Line, before: T): T | undefined
  /** A further line adds to the value, though it is no list. */
  readonly adds?: true
  /** The value as conf text, a string per line, without the directive's name. */
  write(value: T): readonly string[]
}

/** When a changed value counts after `-k reconfigure`. */
export type ReloadEffect =
  | 'at once' // for everything that happens from then on
  | 'new connections' // those open keep what they came in with
  | 'restart' // only after a restart

interface Facts {
  /** Squid's and Lusca's other names. */
  readonly aliases: readonly string[]
  /** One or a few sentences: what it does, what people get wrong. */
  readonly doc: string
}

/**
 * works     does what it says
 * accepted  is read and checked, and there is nothing here for it to do: its doc says why
 * later     is read and checked, but has no effect yet; a conf that needs it is told so
 */
export type Status = 'works' | 'accepted' | 'later'

/**
 * What is still to come, as whole protocols: of each, its directives are named in one warning. `opens`: the directive
 * without which the others mean nothing in Squid either; null = each means something for itself. Those `aside` mean
 * nothing alone: confs of distributions have them, whatever they are for.
 */
export const families = {
  FTP: { doc: 'ftp:// URLs and ftp_port are not there yet', opens: null, aside: ['icon_directory', 'mime_table'] },
  HTCP: { doc: 'HTCP is not there yet', opens: 'htcp_port', aside: [] },
  SNMP: { doc: 'SNMP is not there yet', opens: 'snmp_port', aside: [] },
  WCCP: { doc: 'WCCP is not there yet', opens: 'wccp2_router', aside: [] },
  digests: { doc: 'cache digests are not there yet', opens: null, aside: [] },
  netdb: { doc: 'distances to origins (netdb) are not there yet', opens: null, aside: ['netdb_filename'] },
} as const satisfies Record<string, { readonly doc: string; readonly opens: string | null; readonly aside: readonly string[] }>

export type Family = keyof typeof families

export interface Directive<T> extends Facts {
  readonly status: Status
  /** later: what it belongs to. `off`: written so, it asks for nothing that is missing. */
  readonly family: Family | null
  readonly off: string | null
  readonly kind: Kind<T>
  /** The default as it would be written; null: `kind.initial`. */
  readonly default: string | null
  readonly reload: ReloadEffect
  readonly example: string | null
}

/**
 * silent      accepted; there is nothing here it could mean
 * warned      accepted and named in one warning, with what to do instead
 * translated  read as its modern form, with a note
 * rejected    refused with a hint: ignoring it would change what the conf means
 */
export interface Retired extends Facts {
  readonly status: 'silent' | 'warned' | 'translated' | 'rejected'
  /** translated: today's lines for what stands after the name; null: it says what holds anyway. Reports what it cannot. */
  readonly translate?: (line: Line) => readonly string[] | null
}

interface Options {
  readonly aliases?: readonly string[]
  readonly default?: string
  readonly reload?: ReloadEffect
  readonly example?: string
  readonly family?: Family
  readonly off?: string
}

const directive = <T>(status: Status, kind: Kind<T>, doc: string, options: Options): Directive<T> => ({
  status,
  family: options.family ?? null,
  off: options.off ?? null,
  kind,
  doc,
  aliases: options.aliases ?? [],
  default: options.default ?? null,
  reload: options.reload ?? 'at once',
  example: options.example ?? null,
})

export const works = <T>(kind: Kind<T>, doc: string, options: Options = {}): Directive<T> =>
  directive('works', kind, doc, options)

/** There is nothing here for it to do; `doc` says why. */
export const accepted = <T>(kind: Kind<T>, doc: string, options: Options = {}): Directive<T> =>
  directive('accepted', kind, doc, options)

export const later = <T>(kind: Kind<T>, doc: string, options: Options & { readonly family: Family }): Directive<T> =>
  directive('later', kind, doc, options)
