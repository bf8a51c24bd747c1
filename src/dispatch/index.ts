// dispatch: which entry takes a connection that came to one of our ports.
//
// holds          the table bind → entries by priority; listeners, and how they change with the configuration
// does not hold  sockets (comm), what a session does (service, proxy), original destinations (comm)
// called by      cli builds it; proxies register what they expect (handed in); comm calls it with connections
// calls          base, comm

export { type Answer, type Entry, priority } from './chain.ts'
export { type Clash, clashesOf } from './clashes.ts'
export { type BoundPlace, boundPlaces, whyNotBound } from './bind.ts'
export {
  type Added, createDispatcher, type Dispatcher, type DispatcherOptions, type DatagramLimits,
  type ListeningComm, type ListenParameters, type Protocol, protocolOf, type Registered,
} from './dispatcher.ts'
export type { Decision, ListenerOptions, StartHere, StartSession } from './listener.ts'
export { expectsAnswers, flowTimes } from './receiver.ts'
export { createListeners, type ListenerProblem, type Listeners } from './listeners.ts'
export {
  type Arrival, type CompiledRules, compileRules, type InterfaceFacts, mayPrecede, noInterfaces, type Rule, type RuleLine, type RuleOptions,
  RuleSet, type ScoreParts, scoreOf, scoreParts, type Tuple, tupleOf,
} from './rule/index.ts'
export { type Detector, detectorOf } from './detect/index.ts'
export { startIntroduced } from './introduction/index.ts'
export { interfaceFacts, startByRules, startService, type StartParts } from './start.ts'
