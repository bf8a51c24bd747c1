import type { PortConfig, PortMode } from '../conf/index.ts'
import { parseHostField } from '../http/index.ts'
import type { HttpPort, PortBump } from '../proxy/index.ts'

/** A listening port as the http proxy sees it. */
export const httpPortOf = (port: PortConfig, receiveBytes: number, bump: PortBump | null): HttpPort => ({
  mode: port.mode,
  scheme: port.tls?.fromStart === true ? 'https' : 'http',
  bump,
  inside: null,
  pinned: false,
  connectionAuth: port.connectionAuth,
  tuning: tuningOf(port, receiveBytes),
  accel:
    port.mode !== 'accel'
      ? null
      : {
          defaultSite: port.defaultSite === null ? null : parseHostField(port.defaultSite),
          vhost: port.vhost,
          vport: port.vport,
          scheme: port.protocol,
          allowDirect: port.allowDirect,
          actsAsOrigin: port.actAsOrigin,
          ignoreControl: port.ignoreCacheControl,
        },
})

const tuningOf = (port: PortConfig, receiveBytes: number): HttpPort['tuning'] => {
  const intercepts = port.mode === 'intercept' || port.mode === 'tproxy'
  const cutPackets = port.disablePmtuDiscovery === 'always' || (port.disablePmtuDiscovery === 'transparent' && intercepts)
  if (port.tcpKeepalive === null && !cutPackets && receiveBytes === 0) return null
  return {
    ...(port.tcpKeepalive === null ? {} : { keepAlive: port.tcpKeepalive }),
    ...(cutPackets ? { cutPackets } : {}),
    ...(receiveBytes > 0 ? { receiveBytes } : {}),
  }
}

/** What a service line with the http proxy sees of its listeners; accel: its router has servers of its own. */
export const servicePort = (mode: PortMode, pinned: boolean, receiveBytes: number): HttpPort => ({
  mode,
  scheme: 'http',
  bump: null,
  inside: null,
  pinned,
  connectionAuth: true,
  tuning: receiveBytes > 0 ? { receiveBytes } : null,
  accel:
    mode !== 'accel'
      ? null
      : { defaultSite: null, vhost: true, vport: null, scheme: 'http', allowDirect: true, actsAsOrigin: false, ignoreControl: false },
})
