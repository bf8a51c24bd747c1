// Zones: named sets of addresses with parents. The table is made at load; host names in it follow DNS.

export { type CompiledZones, compileZones, type ZoneHost, type ZoneLine } from './compile-zones.ts'
export { PrefixTable, PrefixTableBuilder } from './prefix-table.ts'
export { ZoneHosts, type ZoneHostsOptions } from './zone-hosts.ts'
export { type Direction, isWithin, noZones, type Zone, zoneDepthMax, ZoneTable } from './zone-table.ts'
