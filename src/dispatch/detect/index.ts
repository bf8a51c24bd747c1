// Detectors: what a connection speaks, found out before a service is chosen.

import type { DetectorConfig } from '../../conf/config.ts'
import type { Detector, Look } from './detector.ts'
import { looksLikeHttp } from './http.ts'
import { looksLikeSsh } from './ssh.ts'
import { looksLikeTls } from './tls.ts'

export { detect } from './detection.ts'
export { type Detector, type Finding, peekBytesMax } from './detector.ts'

export const detectorOf = ({ name, kind, sni, timeout }: DetectorConfig): Detector => ({
  name,
  look: lookOf(kind, sni),
  timeoutMs: timeout,
})

const lookOf = (kind: DetectorConfig['kind'], sni: readonly string[]): Look =>
  kind === 'http' ? looksLikeHttp : kind === 'ssh' ? looksLikeSsh : looksLikeTls(sni)
