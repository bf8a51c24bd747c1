import { carryOut, type CarriedOut } from './carry-out.ts'
import { iptablesSteps, undoIptablesSteps } from './iptables.ts'
import { nftSteps, undoNftSteps } from './nft.ts'
import type { RulePlan } from './plan.ts'
import { shellText, type Step } from './step.ts'

// One plan, two languages, and three things to do with it: show it, apply it, undo it. Applying twice is applying once;
// undoing removes what applying made, by name, and nothing else.

export const ruleForms = {
  nft: { apply: nftSteps, undo: undoNftSteps },
  iptables: { apply: iptablesSteps, undo: undoIptablesSteps },
} as const satisfies Record<string, Record<RuleDeed, (plan: RulePlan) => readonly Step[]>>

export type RuleForm = keyof typeof ruleForms
export type RuleDeed = 'apply' | 'undo'

/** A shell script that does the deed; what `glassquid rules` prints. */
export const ruleText = (form: RuleForm, deed: RuleDeed, plan: RulePlan): string => {
  const title = deed === 'apply' ? `glassquid: interception rules (${form}).` : `glassquid: interception rules (${form}) taken away.`
  return shellText(title, deed === 'apply' ? plan.remarks : [], ruleForms[form][deed](plan))
}

export const doRules = (form: RuleForm, deed: RuleDeed, plan: RulePlan): CarriedOut => carryOut(ruleForms[form][deed](plan))
