// Rules: which service a connection gets. Lines are compiled into a set that is exchanged as a whole.

export { mayPrecede } from './decides-alone.ts'
export { type CompiledRules, compileRules, type RuleOptions } from './compile-rules.ts'
export type { Rule, RuleLine, Tuple } from './rule.ts'
export { RuleSet, rulesMax } from './rule-set.ts'
export { type ScoreParts, scoreOf, scoreParts } from './score.ts'
export { type Arrival, type InterfaceFacts, noInterfaces, tupleOf } from './tuple.ts'
