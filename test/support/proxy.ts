import { type Clock, systemClock, ms, sleep, type Outcome } from '../../src/base/index.ts'
import { assemble, type Machine } from '../../src/cli/assemble.ts'
import { compiled } from '../../src/cli/load-conf.ts'
import { parseConf, systemWorld } from '../../src/conf/index.ts'
import type { DebugLog } from '../../src/log/index.ts'

// The whole machine in this process, from a conf, on ports the system gives. What it recorded of each transaction and
// what it would have written to cache.log is kept for the test to look at.

export interface RunningProxy {
  readonly machine: Machine
  /** The port of the http_port of that name. */
  port(name: string): number
  readonly records: readonly Outcome[]
  /** What cache.log would hold at level 1. */
  readonly said: readonly string[]
  reload(conf: string): void
  /** No transaction and no session is left. */
  quiet(): Promise<void>
  stop(): Promise<void>
}

const before = 'visible_hostname proxy.test\npid_filename none\nshutdown_lifetime 0 seconds\n'
/** Ends the list: logs of the test's own come first. */
const behind = '\naccess_log none\n'

export const startProxy = async (
  conf: string,
  engine: 'native' | 'node' | 'auto' = 'auto',
  clock: Clock = systemClock,
  /** Who hears of each transaction instead of the list. */
  heard: ((record: Outcome) => void) | null = null,
  /** on-error=die. */
  fatal?: (message: string) => void,
): Promise<RunningProxy> => {
  const records: Outcome[] = []
  const said: string[] = []
  const machine = assemble(loadText(conf), { clock, log: keeping(said), engine, record: heard ?? (o => void records.push(o)), ...(fatal === undefined ? {} : { fatal }) })
  return {
    machine,
    port(name) {
      const found = machine.ports.find(port => port.name === name)
      if (found === undefined) throw new Error(`no http_port is named ${name}`)
      return found.endpoint.port
    },
    records,
    said,
    reload: text => machine.reload(loadText(text)),
    async quiet() {
      for (let i = 0; i < 500 && machine.sessions > 0; i++) await sleep(systemClock, ms(10))
    },
    stop: () => machine.stop(0),
  }
}

const loadText = (conf: string) => {
  const parsed = parseConf({ file: 'test.conf', text: before + conf + behind }, { ...systemWorld(), portZero: true })
  const told: string[] = []
  const loaded = compiled(parsed, text => told.push(text))
  if (loaded === null) throw new Error(`the conf of this test is refused:\n${told.join('\n')}`)
  return loaded
}

const keeping = (said: string[]): DebugLog => {
  const keep = (message: string) => void said.push(message)
  return {
    verbose: false,
    wants: (_section, level) => level <= 1,
    write: (_section, level, message) => {
      if (level <= 1) keep(message)
    },
    error: (_section, message) => keep(`ERROR: ${message}`),
    warning: (_section, message) => keep(`WARNING: ${message}`),
    alert: (_section, message) => keep(`SECURITY ALERT: ${message}`),
    limited: (_key, _section, level, message) => {
      if (level <= 1) keep(message)
    },
    configure() {},
    rotate() {},
    reopen() {},
    flush: async () => {},
    close: async () => {},
  }
}
