// proxy/plug: bytes, or datagrams, both ways, whatever they mean.
//
// holds          the plug proxy: a server for each client, and a relay between the two; what sessions share (bandwidth);
//                secondary sessions; the records for the access log
// does not hold  moving the bytes (comm's relay), where to (router), how to get there (chainer)
// called by      service, with a session; handed in by cli/assemble
// calls          base

export { CountPlug } from './counters.ts'
export { createPlugProxy, plainPlug, type PlugDeps, type PlugOptions, type PlugStack } from './plug-proxy.ts'
export type { SecondaryPort } from './secondaries.ts'
