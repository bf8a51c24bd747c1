import { type DurationMs, ms, type Seconds, seconds, secondsToMs } from '../base/index.ts'

// refresh_pattern: what the operator adds where origins say nothing, or overrides where they say it badly. The first
// line whose regex matches the URI counts, alone. Arithmetic in freshness.ts; here is only which line it is.

export interface RefreshOptions {
  /** Explicit freshness is stretched to `min`. Never makes anything stale. */
  readonly overrideExpire: boolean
  /** Freshness by Last-Modified is stretched to `min`. */
  readonly overrideLastmod: boolean
  /** A reload (no-cache) validates instead of fetching anew. */
  readonly reloadIntoIms: boolean
  /** A reload is taken for a plain request. */
  readonly ignoreReload: boolean
  readonly ignoreNoStore: boolean
  /** Stores what is private; it is validated at each use. */
  readonly ignorePrivate: boolean
  /** A conditional request of a client is always answered by asking the origin. */
  readonly refreshIms: boolean
  /** Stores also what is stale already and has no validator. */
  readonly storeStale: boolean
  readonly ignoreStaleWhileRevalidate: boolean
  /** null = the global max_stale. */
  readonly maxStale: Seconds | null
  /** Where the response says no stale-while-revalidate itself. */
  readonly staleWhileRevalidate: Seconds | null
  /** null = the global negative_ttl. */
  readonly negativeTtl: Seconds | null
}

/** A compiled pattern; a RegExp is one. */
export interface UriPattern {
  test(uri: string): boolean
}

/** A line as the conf has it, its regex compiled. `min` and `max` are seconds (the conf's minutes). */
export interface RefreshLine {
  readonly regex: UriPattern
  readonly min: Seconds
  /** 20 = 20 %; may exceed 100. */
  readonly percent: number
  readonly max: Seconds
  readonly options: RefreshOptions
  /** Where it stands and as written, for `explain`. */
  readonly text: string
}

/** A line with its numbers in the unit of the clock. */
export interface RefreshRule {
  readonly regex: UriPattern | null
  readonly min: DurationMs
  readonly fraction: number
  readonly max: DurationMs
  readonly options: RefreshOptions
  readonly text: string
}

export const noRefreshOptions: RefreshOptions = {
  overrideExpire: false,
  overrideLastmod: false,
  reloadIntoIms: false,
  ignoreReload: false,
  ignoreNoStore: false,
  ignorePrivate: false,
  refreshIms: false,
  storeStale: false,
  ignoreStaleWhileRevalidate: false,
  maxStale: null,
  staleWhileRevalidate: null,
  negativeTtl: null,
}

/** Where no line matches. */
export const defaultRefreshRule: RefreshRule = {
  regex: null,
  min: ms(0),
  fraction: 0.2,
  max: secondsToMs(seconds(3 * 24 * 3600)),
  options: noRefreshOptions,
  text: 'no refresh_pattern matches: 0 20% 4320',
}

let generations = 0

/** One conf's lines. A reload makes a new one; stored responses notice by `generation` and are judged anew. */
export class RefreshPatterns {
  /** Asked by every hit, and written here alone. */
  generation: number
  readonly rules: readonly RefreshRule[]
  // storing asks twice about the same URI, and a page's objects often come from few URIs
  #lastUri = ''
  #lastRule: RefreshRule
  #lastIndex = 0
  /** Times a rule decided, and times its regex was tried; the last is the default's. */
  readonly #used: Float64Array
  readonly #checked: Float64Array

  constructor(lines: readonly RefreshLine[]) {
    this.generation = ++generations
    this.rules = lines.map(ruleOf)
    this.#used = new Float64Array(lines.length + 1)
    this.#checked = new Float64Array(lines.length + 1)
    this.#lastRule = this.#find('')
    this.#checked.fill(0)
  }

  /** What has been judged by them is judged anew at its next use: the clock on the wall was set. */
  judgeAnew(): void {
    this.generation = ++generations
  }

  /** For the manager's page. */
  usage(): { readonly pattern: string; readonly used: number; readonly checked: number }[] {
    return [...this.rules, defaultRefreshRule].map(({ text }, i) => ({ pattern: text, used: this.#used[i] ?? 0, checked: this.#checked[i] ?? 0 }))
  }

  ruleFor(uri: string): RefreshRule {
    if (uri !== this.#lastUri) {
      this.#lastRule = this.#find(uri)
      this.#lastUri = uri
    }
    this.#used[this.#lastIndex] = (this.#used[this.#lastIndex] ?? 0) + 1
    return this.#lastRule
  }

  #find(uri: string): RefreshRule {
    let i = 0
    for (const rule of this.rules) {
      this.#checked[i] = (this.#checked[i] ?? 0) + 1
      this.#lastIndex = i++
      if (rule.regex?.test(uri) === true) return rule
    }
    this.#lastIndex = i
    this.#checked[i] = (this.#checked[i] ?? 0) + 1
    return defaultRefreshRule
  }
}

/** A regex with g or y remembers where it stopped: the same URI would match only every other time. */
const stateless = (regex: UriPattern): UriPattern => {
  if (!(regex instanceof RegExp && (regex.global || regex.sticky))) return regex
  return new RegExp(regex, regex.flags.replace(/[gy]/g, ''))
}

const ruleOf = (line: RefreshLine): RefreshRule => ({
  regex: stateless(line.regex),
  min: secondsToMs(line.min),
  fraction: line.percent / 100,
  max: secondsToMs(line.max),
  options: line.options,
  text: line.text,
})
