import { carryOut, type CarriedOut } from './carry-out.ts'
import { iptablesSteps, undoIptablesSteps } from './iptables.ts'
import { nftSteps, undoNftSteps } from './nft.ts'
import type { RulePlan } from './plan.ts'
import { shellText, type Step } from './step.ts'

// One plan, two languages, and three things to do with it: show it, apply it, undo it. Applying twice is applying once;
// undoing removes what applying made, by name, and nothing else.

interface Form {
  apply(plan: RulePlan): readonly Step[]
  undo(plan: RulePlan): readonly Step[]
  /** What happens to tproxy connections while nobody listens: the two kernels' targets differ. */
  readonly whileDown: string
}

export const ruleForms = {
  nft: {
    apply: nftSteps,
    undo: undoNftSteps,
    whileDown: 'While the proxy is down, clients reach their destinations directly; --fail-closed drops them instead.',
  },
  iptables: {
    apply: iptablesSteps,
    undo: undoIptablesSteps,
    whileDown: 'While the proxy is down, its clients\' connections are dropped: the TPROXY of iptables knows no other way. The nft form does.',
  },
} as const satisfies Record<string, Form>

export type RuleForm = keyof typeof ruleForms
export type RuleDeed = 'apply' | 'undo'

/** A shell script that does the deed; what `glassquid rules` prints. */
export const ruleText = (form: RuleForm, deed: RuleDeed, plan: RulePlan): string => {
  const title = deed === 'apply' ? `glassquid: interception rules (${form}).` : `glassquid: interception rules (${form}) taken away.`
  const open = plan.tproxy.length > 0 && !plan.options.failClosed
  const remarks = deed === 'undo' ? [] : [...plan.remarks, ...(open ? [ruleForms[form].whileDown] : [])]
  return shellText(title, remarks, ruleForms[form][deed](plan))
}

export const doRules = (form: RuleForm, deed: RuleDeed, plan: RulePlan): CarriedOut => carryOut(ruleForms[form][deed](plan))
