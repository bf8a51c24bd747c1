import { declareCounters } from '../base/index.ts'

export const CountIcap = declareCounters({
  messages: { doc: 'messages shown to an ICAP service' },
  connections: { doc: 'connections opened to ICAP services', whenItGrows: 'with every message: the service does not keep them' },
  unchanged: { doc: 'of these, those the service did not want to change (204)' },
  adapted: { doc: 'of these, those the service changed or answered' },
  failures: { doc: 'services that could not be reached, or did not answer in ICAP', whenItGrows: 'look at the service: its log, its load, its address in icap_service' },
  rests: { doc: 'times a service was left alone for icap_service_revival_delay', whenItGrows: 'as failures' },
  bypassed: { doc: 'messages that went on as they were, since the service failed and may be bypassed' },
})
