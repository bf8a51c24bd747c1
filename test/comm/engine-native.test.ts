import { describe } from 'vitest'
import { native } from '../../native/index.ts'
import { engineContract } from '../contract/engine.ts'

// The native engine keeps the contract of all engines.

if (!native.present) console.warn(`SKIPPED, no native engine: ${native.why}`)
describe.skipIf(!native.present)('native engine', () => engineContract('native'))
