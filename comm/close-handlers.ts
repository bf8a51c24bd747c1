import { assert } from '../src/base/index.ts'
import type { CloseHandler } from './connection.ts'

// Most connections have no close handler or one; only more than one costs an array.

export type CloseHandlers = null | CloseHandler | CloseHandler[]

export const withHandler = (handlers: CloseHandlers, added: CloseHandler): CloseHandlers => {
  if (handlers === null) return added
  const list = typeof handlers === 'function' ? [handlers] : handlers
  assert(!list.includes(added), 'a close handler is added once')
  list.push(added)
  return list
}

export const withoutHandler = (handlers: CloseHandlers, removed: CloseHandler): CloseHandlers => {
  if (handlers === removed || handlers === null) return null
  if (typeof handlers === 'function') return handlers
  const left = handlers.filter(handler => handler !== removed)
  return left.length === 0 ? null : left
}

/** The last added first (Lusca). */
export const inCloseOrder = (handlers: CloseHandlers): readonly CloseHandler[] => {
  if (handlers === null) return none
  return typeof handlers === 'function' ? [handlers] : handlers.toReversed()
}

const none: readonly CloseHandler[] = []
