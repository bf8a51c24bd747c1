// intercept: how other people's connections come to us, and a place to watch it.
//
// holds          rules: the kernel rules and policy routing for the conf's ports, as text, applied and undone;
//                doctor: what is wrong with a machine's interception, and its cure;
//                lab: three machines in network namespaces, and the show that `glassquid lab` plays there
// does not hold  the look-up of original destinations (comm/nat-lookup), anything on a connection's path
// called by      cli; tests take the machines of the lab as their kit
// calls          base; the kernel through nft, iptables, ip and util-linux

export { doctorExitCode, doctorJson, doctorText, type Examined, examine, forConf } from './doctor/doctor.ts'
export { collectFacts, type Facts, type FactsWish, type Probe, type RunningCounters } from './doctor/facts.ts'
export { type Look, lookHere } from './doctor/look.ts'
export type { Namespace, Ran, RunOptions } from './lab/namespace.ts'
export { examples } from './lab/examples.ts'
export { runExample } from './lab/run-example.ts'
export { runLab } from './lab/run-lab.ts'
export type { Running } from './lab/running.ts'
export { labAddresses, labInterfaces, labNames, type Network, openNetwork, whyNoNetwork, withNetwork } from './lab/network.ts'
export type { CarriedOut } from './rules/carry-out.ts'
export {
  type ListeningPort,
  parsePorts,
  type PlanAnswer,
  planRules,
  planUndo,
  type PortRange,
  type KernelDecision,
  type KernelDecisionKind,
  type Transport,
  ruleDefaults,
  type RuleOptions,
  type RulePlan,
  type TakeWish,
} from './rules/plan.ts'
export { doRules, type RuleDeed, type RuleForm, ruleForms, ruleText } from './rules/rules.ts'
