import type { MonoMs, Timer } from '../base/index.ts'
import type { HelperAnswer } from './helper-pool.ts'
import type { HelperChild } from './helper-child.ts'
import type { Talk } from './talk.ts'

/** More than a URI and a head's worth of fields. */
export const questionBytesMax = 64 * 1024

/** One line on its way to an answer. The pool and the child that has it write here. */
export interface Question {
  readonly line: string
  readonly resolve: (answer: HelperAnswer) => void
  timer: Timer | null
  /** Null: it waits in the queue. */
  child: HelperChild | null
  /** A child has died over it. */
  tried: boolean
  /** It is part of one; null = any child will do. */
  readonly talk: Talk | null
  /** It has its answer. */
  over: boolean
  sentAt: MonoMs
}
