// proxy/stack: the payload of a proxy through a program.
//
// holds          a program with its pipes, its verdict and its end; the pump that moves bytes between it, a client and a
//                server; the content of one HTTP message through a program
// does not hold  proxies behind proxies (chainer/side-stack), what a proxy makes of a verdict
// called by      plug; any proxy with a payload
// calls          base

export { ContentProgram, type ProgramService } from './content-program.ts'
export { CountStack } from './counters.ts'
export { Pump, type PumpEnd, type PumpPath } from './pump.ts'
export { type ProgramDeps, type ProgramOptions, type ProgramUser, StackedProgram, type Verdict } from './program.ts'
