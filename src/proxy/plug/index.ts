// proxy/plug: bytes both ways, whatever they mean.
//
// holds          the plug proxy: a server for each client, and a relay between the two; its record for the access log
// does not hold  moving the bytes (comm's relay), where to (router), how to get there (chainer)
// called by      service, with a session; handed in by cli/assemble
// calls          base

export { CountPlug } from './counters.ts'
export { createPlugProxy, type PlugDeps, type PlugOptions } from './plug-proxy.ts'
