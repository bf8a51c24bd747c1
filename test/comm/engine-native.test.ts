import { describe } from 'vitest'
import { native } from '../../native/index.ts'
import { engineContract } from '../contract/engine.ts'
import { limitedRelayContract } from '../contract/limited-relays.ts'

// The native engine keeps the contract of all engines.

if (!native.present) console.warn(`SKIPPED, no native engine: ${native.why}`)
describe.skipIf(!native.present)('native engine', () => engineContract('native'))
describe.skipIf(!native.present)('limited relays of the native engine', () => limitedRelayContract('native'))
