import v8 from 'node:v8'
import { monoNow } from '../../base/index.ts'

// No pattern may hang the loop. V8 can leave a pattern that backtracks too much for an engine that takes linear time,
// but only patterns that engine understands, and only with a flag. It helps against exponential patterns, not against
// quadratic ones (`a*z` on 20,000 a takes 0.2 s), so compile-regex.ts gives it short subjects only. The flags change
// nothing for other regexes of the program but that they cannot hang either.

export interface RegexGuard {
  /** V8 leaves catastrophic patterns by itself. Without it every pattern runs in the counting matcher, which is slow. */
  readonly armed: boolean
  /** Would V8 be able to run this source in linear time? */
  linear(source: string): boolean
}

/** Call before the first request; harmless again. Answers what the self-test found. */
export const armRegexGuard = (): RegexGuard => {
  guard ??= arm()
  return guard
}

let guard: RegexGuard | null = null

const arm = (): RegexGuard => {
  v8.setFlagsFromString('--enable-experimental-regexp-engine-on-excessive-backtracks')
  v8.setFlagsFromString('--regexp-backtracks-before-fallback=5000') // about 30 us; V8's own 50,000 are 0.8 ms at worst
  v8.setFlagsFromString('--enable-experimental-regexp-engine') // lets the `l` flag be asked for
  const armed = knowsLinear() && leavesCatastrophe()
  return { armed, linear: source => armed && isLinear(source) }
}

const isLinear = (source: string): boolean => {
  try {
    new RegExp(source, 'sl')
    return true
  } catch {
    return false // SyntaxError: "Cannot be executed in linear time", or too large
  }
}

const knowsLinear = (): boolean => isLinear('(?:a+)+$') && !isLinear('(a)\\1')

/**
 * (x+x+)+y on 24 x is 2^24 steps, about 0.1 s unguarded and under 1 ms guarded. The best of five counts, so that a
 * loaded machine is not taken for a missing guard.
 */
const leavesCatastrophe = (): boolean => {
  const subject = 'x'.repeat(24)
  let best = Number.POSITIVE_INFINITY
  for (let i = 0; i < 5 && best > acceptableMs; i++) {
    const trial = new RegExp(`(?:x+x+)+y${i}`, 's')
    const begin = monoNow()
    trial.test(subject)
    best = Math.min(best, monoNow() - begin)
  }
  return best <= acceptableMs
}

const acceptableMs = 20
