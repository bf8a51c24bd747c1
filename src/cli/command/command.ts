import type { ParseArgsOptionsConfig } from 'node:util'

// What the commands share: the switches that say which conf, and how a line can be wrong. Each command is a file beside
// this one: its words, its wish, its help. Nothing is done here; main.ts loads what does it.

/** Where Debian would put it. */
export const defaultConfFile = '/etc/glassquid/glassquid.conf'

export interface Common {
  readonly confFile: string
  /** False: nobody said -f; a missing default file is then told in other words. */
  readonly confGiven: boolean
  /** `-d`: messages up to this level also go to standard error. Null: not said. */
  readonly debugLevel: number | null
  /** `-X`: cache.log tells everything, whatever debug_options says. */
  readonly debugAll: boolean
  /** Switches of Squid's that mean nothing here, as written. */
  readonly ignored: readonly string[]
}

export interface Wrong {
  readonly kind: 'wrong'
  readonly message: string
}

export interface Help<Topic> {
  readonly kind: 'help'
  readonly topic: Topic
}

/** How a command is presented and read. `read` may throw what parseArgs throws. */
export interface CommandWords<W> {
  /** Its line in the list of all: words, and what it is for. */
  readonly summary: readonly [string, string]
  readonly usage: string
  read(words: readonly string[]): W
}

export const wrong = (message: string): Wrong => ({ kind: 'wrong', message })

export const commonOptions = {
  config: { type: 'string', short: 'f' },
  debug: { type: 'string', short: 'd' },
} as const satisfies ParseArgsOptionsConfig

export const readCommon = (
  values: { readonly config?: string | undefined; readonly debug?: string | undefined; readonly everything?: boolean | undefined },
  ignored: readonly string[],
): Common | string => {
  if (values.config === '') return '-f needs a file'
  if (values.debug !== undefined && !/^\d{1,2}$/.test(values.debug)) return `-d '${values.debug}': a level is a number from 0 to 9`
  return {
    confFile: values.config ?? defaultConfFile,
    confGiven: values.config !== undefined,
    debugLevel: values.debug === undefined ? null : Number(values.debug),
    debugAll: values.everything === true,
    ignored,
  }
}
