import { type Addon, native } from '../../native/index.ts'

/** Null, or why the tests of the addon cannot run here. Goes into the title of what is skipped. */
export const noAddon: string | null = native.present ? null : native.why
if (noAddon !== null) console.warn(`SKIPPED, no addon: ${noAddon}`)

export const addon = (): Addon => {
  if (!native.present) throw new Error(native.why)
  return native.addon
}
