// Time and size carry their unit in the type, so that milliseconds never meet seconds. A bare number is a count.

declare const unit: unique symbol

/** Milliseconds since 1970, as the wall clock tells it. It may jump. Only for dates people and peers see. */
export type WallMs = number & { readonly [unit]: 'WallMs' }
/** Milliseconds of the monotonic clock; only differences mean something. For deadlines and durations. */
export type MonoMs = number & { readonly [unit]: 'MonoMs' }
/** A length of time in milliseconds. */
export type DurationMs = number & { readonly [unit]: 'DurationMs' }
/** A length of time in whole seconds, the unit of Age, max-age and most directives. */
export type Seconds = number & { readonly [unit]: 'Seconds' }
/** A size in bytes. */
export type Bytes = number & { readonly [unit]: 'Bytes' }

export const wallMs = (n: number): WallMs => n as WallMs
export const monoMs = (n: number): MonoMs => n as MonoMs
export const ms = (n: number): DurationMs => n as DurationMs
export const seconds = (n: number): Seconds => n as Seconds
export const bytes = (n: number): Bytes => n as Bytes
export const kib = (n: number): Bytes => (n * 1024) as Bytes
export const mib = (n: number): Bytes => (n * 1024 * 1024) as Bytes

export const secondsToMs = (s: Seconds): DurationMs => (s * 1000) as DurationMs
export const msToSeconds = (d: DurationMs): Seconds => Math.floor(d / 1000) as Seconds
export const later = (at: MonoMs, by: DurationMs): MonoMs => (at + by) as MonoMs
export const elapsed = (from: MonoMs, to: MonoMs): DurationMs => (to - from) as DurationMs
