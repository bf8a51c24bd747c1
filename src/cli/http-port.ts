import type { PortConfig, PortMode } from '../conf/index.ts'
import { parseHostField } from '../http/index.ts'
import type { HttpPort } from '../proxy/index.ts'

/** A listening port as the http proxy sees it. */
export const httpPortOf = (port: PortConfig): HttpPort => ({
  mode: port.mode,
  pinned: false,
  connectionAuth: port.connectionAuth,
  accel:
    port.mode !== 'accel'
      ? null
      : {
          defaultSite: port.defaultSite === null ? null : parseHostField(port.defaultSite),
          vhost: port.vhost,
          vport: port.vport,
          scheme: port.protocol,
          allowDirect: port.allowDirect,
          ignoreControl: port.ignoreCacheControl,
        },
})

/** What a service line with the http proxy sees of its listeners; accel: its router has servers of its own. */
export const servicePort = (mode: PortMode, pinned: boolean): HttpPort => ({
  mode,
  pinned,
  connectionAuth: true,
  accel:
    mode !== 'accel'
      ? null
      : { defaultSite: null, vhost: true, vport: null, scheme: 'http', allowDirect: true, ignoreControl: false },
})
