import { errorTable, type Outcome, type ResultCode } from '../base/index.ts'

/**
 * `%Ss`: the result code as Squid spells it, `_CF` after the protocol when the response came from a collapsed fetch,
 * `_TIMEDOUT` or `_ABORTED` behind. Texts are made once.
 */
export const resultText = (outcome: Outcome): string => {
  const suffix = outcome.error === null ? '' : errorTable[outcome.error].suffix
  if (suffix === '' && !outcome.collapsed) return outcome.result
  const cache = outcome.collapsed ? collapsedTexts : plainTexts
  const texts = (cache[outcome.result] ??= {})
  return (texts[suffix] ??= spell(outcome.result, outcome.collapsed) + suffix)
}

type Texts = Partial<Record<ResultCode, Record<string, string>>>
const plainTexts: Texts = {}
const collapsedTexts: Texts = {}

const spell = (result: ResultCode, collapsed: boolean): string => (collapsed ? result.replace(/^(NONE|TCP)_/, '$1_CF_') : result)
