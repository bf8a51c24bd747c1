// What signals mean to a running proxy, as in Squid: HUP reconfigure, USR1 rotate, USR2 debug, TERM shutdown, INT
// interrupt. Whoever asks twice to stop has waited long enough.

export interface SignalHandlers {
  reconfigure(): void
  rotate(): void
  debug(): void
  /** Stop accepting, let open transactions end within shutdown_lifetime. */
  shutdown(): void
  /** Stop now. */
  interrupt(): void
}

/** Answers how to stop listening. */
export const listenToSignals = (handlers: SignalHandlers): (() => void) => {
  let stopping = false
  const stop = (gently: boolean) => () => {
    if (gently && !stopping) handlers.shutdown()
    else handlers.interrupt()
    stopping = true
  }
  const listeners = [
    ['SIGHUP', () => handlers.reconfigure()],
    ['SIGUSR1', () => handlers.rotate()],
    ['SIGUSR2', () => handlers.debug()],
    ['SIGTERM', stop(true)],
    ['SIGINT', stop(false)],
  ] as const
  for (const [signal, listener] of listeners) process.on(signal, listener)
  return () => {
    for (const [signal, listener] of listeners) process.removeListener(signal, listener)
  }
}
