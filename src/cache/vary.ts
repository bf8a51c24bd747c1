import type { FieldView } from '../base/index.ts'
import type { StoredResponse } from './stored-response.ts'

// RFC 9111 4.1: a response that names request fields in Vary may only answer requests that say the same in them. Each
// variant keeps what the request it came for had said, as received and normalised. The first is compared first, since
// clients of one kind send the same bytes; the second makes `gzip, br` and `gzip,br` one variant.

export interface Selecting {
  /** Lower case, each once; shared between responses with equal Vary. */
  readonly names: readonly string[]
  /** Per name, all lines joined; null = the request had no such field. */
  readonly received: readonly (string | null)[]
  /** The same string as `received` where normalising changes nothing. */
  readonly normalised: readonly (string | null)[]
}

/** What the request says in the fields that Vary names. `detach` cuts a string loose from the head it is a part of. */
export const selectingFields = (
  names: readonly string[],
  request: FieldView,
  detach: (text: string) => string,
): Selecting | null => {
  if (names.length === 0) return null
  const received: (string | null)[] = []
  const normalised: (string | null)[] = []
  for (const name of names) {
    const value = request.joined(name)
    const kept = value === undefined ? null : detach(value)
    const normal = kept === null ? null : normalValue(name, kept)
    received.push(kept)
    normalised.push(normal === kept ? kept : normal)
  }
  return { names, received, normalised }
}

/** Whether a response stored with these selecting fields may answer the request. null = it has no Vary. */
export const selects = (selecting: Selecting | null, request: FieldView): boolean => {
  if (selecting === null) return true
  const { names, received, normalised } = selecting
  for (let i = 0; i < names.length; i++) {
    const name = names[i] as string // i < length
    const value = request.joined(name)
    const stored = received[i] ?? null
    if (value === undefined) {
      if (stored !== null) return false
    } else if (stored === null) return false
    else if (value !== stored && normalValue(name, value) !== normalised[i]) return false
  }
  return true
}

/**
 * The variant that may answer the request, or null. `variants` are newest first (by Date). One with Vary goes before
 * one without: some sites forget Vary on their default response, which would then answer for all (RFC 9111 4.1).
 */
export const chooseVariant = (variants: readonly StoredResponse[], request: FieldView): StoredResponse | null =>
  chooseAmong(variants, request, false)

/** The same among the parts of responses (parts.ts), or among all that are whole. */
export const chooseAmong = (
  variants: readonly StoredResponse[],
  request: FieldView,
  parts: boolean,
): StoredResponse | null => {
  let plain: StoredResponse | null = null
  for (let i = 0; i < variants.length; i++) {
    const stored = variants[i] as StoredResponse // i < length
    if ((stored.status === 206) !== parts) continue
    if (stored.selecting === null) plain ??= stored
    else if (selects(stored.selecting, request)) return stored
  }
  return plain
}

/**
 * RFC 9111 4.1 allows only changes known to keep the meaning. White space around commas goes in every field (outside
 * of quoted strings); in three fields whose members are case-insensitive tokens with parameters, case and white space
 * around ';' go too. Order stays: some origins read it as preference (RFC 9110 12.5.4).
 */
export const normalValue = (name: string, value: string): string => {
  if (name === 'accept-encoding' || name === 'accept-language' || name === 'accept-charset') {
    return squeezed(value.toLowerCase(), true)
  }
  return squeezed(value, false)
}

const squeezed = (text: string, aroundSemicolons: boolean): string => {
  let out = ''
  let copied = 0 // text[0, copied) is in `out`, or was dropped
  let i = 0
  while (i < text.length) {
    const c = text.charCodeAt(i)
    if (c === 34) {
      i = behindQuoted(text, i)
      continue
    }
    if (c !== 44 && !(aroundSemicolons && c === 59)) {
      i++
      continue
    }
    let before = i
    while (before > copied && isSpace(text.charCodeAt(before - 1))) before--
    let behind = i + 1
    while (behind < text.length && isSpace(text.charCodeAt(behind))) behind++
    if (before !== i || behind !== i + 1) {
      out += text.slice(copied, before) + text.charAt(i)
      copied = behind
    }
    i = behind
  }
  return copied === 0 ? text : out + text.slice(copied)
}

const isSpace = (c: number): boolean => c === 32 || c === 9

const behindQuoted = (text: string, open: number): number => {
  for (let i = open + 1; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (c === 92) i++
    else if (c === 34) return i + 1
  }
  return text.length
}
