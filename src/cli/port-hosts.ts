import { lookup } from 'node:dns/promises'
import { errnoOf } from '../base/index.ts'
import { type Config, type Diagnostic, type PortConfig, portsOf } from '../conf/index.ts'
import { ListenFailed } from './listening.ts'

/**
 * `http_port localhost:3128` listens on each address of the name, as this machine's own resolver (hosts file first)
 * tells it at start and at each reload. Throws ListenFailed when it has none.
 */
export const withPortAddresses = async (config: Config): Promise<Config> => {
  if (portsOf(config).every(port => port.hostName === null)) return config
  const ports = await Promise.all(config.http_port.map(addressed))
  const securePorts = await Promise.all(config.https_port.map(addressed))
  return { ...config, http_port: ports.flat(), https_port: securePorts.flat() }
}

/** For who only reads a conf. */
export const portsWithoutAddress = async (config: Config): Promise<readonly Diagnostic[]> => {
  const found: Diagnostic[] = []
  for (const port of portsOf(config)) {
    try {
      await addressed(port)
    } catch (error) {
      if (!(error instanceof ListenFailed)) throw error
      found.push({ severity: 'fatal', at: port.at, message: error.message, hint: '' })
    }
  }
  return found
}

const addressed = async (port: PortConfig): Promise<PortConfig[]> => {
  const { hostName } = port
  if (hostName === null) return [port]
  try {
    const found = await lookup(hostName, { all: true })
    return found.map(({ address }) => ({ ...port, hostName: null, address, dualStack: false }))
  } catch (error) {
    throw new ListenFailed(`${port.text}: '${hostName}' does not resolve (${errnoOf(error)})`)
  }
}
