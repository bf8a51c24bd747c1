import type { PortConfig } from '../conf/index.ts'
import { parseHostField } from '../http/index.ts'
import type { HttpPort } from '../proxy/index.ts'

/** A listening port as the http proxy sees it. */
export const httpPortOf = (port: PortConfig): HttpPort => ({
  name: port.name,
  mode: port.mode,
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
