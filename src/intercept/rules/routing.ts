import type { RuleFamily, RulePlan } from './plan.ts'
import type { Step } from './step.ts'

// Policy routing for TPROXY: packets with our mark are delivered on this machine although their destination is not
// ours. `local` in the route is what makes it so, and the rule has to come before the main table. Only our bit of the
// mark is looked at: other programs use the others.

/** Empty without tproxy: REDIRECT rewrites the destination and needs no route. */
export const routingSteps = (plan: RulePlan): Step[] =>
  routedFamilies(plan).flatMap(family => {
    const { rule, route } = words(plan, family)
    return [
      {
        why: `IPv${family} packets with our mark are looked up in our own table, where every destination is this machine.`,
        command: ['ip', `-${family}`, 'rule', 'add', ...rule],
        alreadySo: /File exists/,
      },
      { command: ['ip', `-${family}`, 'route', 'replace', ...route] },
    ]
  })

export const undoRoutingSteps = (plan: RulePlan): Step[] =>
  ([4, 6] as const).flatMap(family => {
    const { rule, route } = words(plan, family)
    const gone = /No such|not found|does not exist|not supported/
    return [
      { why: `The way of marked IPv${family} packets.`, command: ['ip', `-${family}`, 'rule', 'del', ...rule], alreadySo: gone },
      { command: ['ip', `-${family}`, 'route', 'del', ...route], alreadySo: gone },
    ]
  })

const routedFamilies = (plan: RulePlan): readonly RuleFamily[] =>
  plan.options.foreignSockets
    ? plan.options.families
    : ([4, 6] as const).filter(family => plan.tproxy.some(taken => taken.families.includes(family)))

const words = (plan: RulePlan, family: RuleFamily) => {
  const { takenMark, routingTable, rulePreference } = plan.options
  const mark = `0x${takenMark.toString(16)}`
  const anywhere = family === 4 ? '0.0.0.0/0' : '::/0'
  return {
    rule: ['pref', String(rulePreference), 'fwmark', `${mark}/${mark}`, 'lookup', String(routingTable)],
    route: ['local', anywhere, 'dev', 'lo', 'table', String(routingTable)],
  }
}
