import { ms } from '../../base/index.ts'
import { type Network, openNetwork, whyNoNetwork } from './network.ts'
import type { Running } from './running.ts'
import { Stop, Stopped } from './stop.ts'

// What the labs have in common: a network for as long as one lasts, and its words.

export const print = (...lines: readonly string[]): void => {
  for (const line of lines) process.stdout.write(`${line}\n`)
}

/** `work` answers whether everything was as it should be; this the exit code. Whoever is stopped leaves nothing behind. */
export const inNetwork = async (work: (network: Network, stopped: Stop) => Promise<boolean>): Promise<number> => {
  const why = whyNoNetwork()
  if (why !== null) {
    print(why)
    return 1
  }
  const stopped = new Stop()
  let network: Network | null = null
  try {
    network = await openNetwork()
    return (await work(network, stopped)) ? 0 : 1
  } catch (error) {
    if (error instanceof Stopped) return error.code
    print(error instanceof Error ? error.message : String(error))
    return 1
  } finally {
    await network?.close()
    stopped.forget()
  }
}

/** The daemon serves, and what it said of that is shown. */
export const serving = async (proxy: Running): Promise<void> => {
  const ready = /^.*\bready\b.*$/m
  await proxy.heard(ready, ms(20_000))
  print(`proxy  ${ready.exec(proxy.said)?.[0] ?? ''}`, '')
}
