import { type Fields, pragmaNoCache, type RequestCacheControl, requestCacheControl } from '../http/index.ts'

// What a request says to a cache. Most say nothing; for those there is no object, and a hit looks no further.

/** A request that says something. Read only; one per transaction. */
export class RequestFacts {
  readonly control: Readonly<RequestCacheControl>
  /** no-cache in either spelling. Pragma counts only where there is no Cache-Control (RFC 9111 5.4). */
  readonly reload: boolean
  /** If-None-Match or If-Modified-Since. */
  readonly conditional: boolean
  /** If-Match or If-Unmodified-Since: for the origin only (RFC 9111 4.3.2). */
  readonly forOrigin: boolean
  readonly range: boolean

  constructor(control: Readonly<RequestCacheControl>, reload: boolean, seen: number) {
    this.control = control
    this.reload = reload
    this.conditional = (seen & conditionalBit) !== 0
    this.forOrigin = (seen & forOriginBit) !== 0
    this.range = (seen & rangeBit) !== 0
  }
}

const controlBit = 1
const pragmaBit = 2
const conditionalBit = 4
const forOriginBit = 8
const rangeBit = 16

/** null = nothing that concerns a cache. */
export const requestFacts = (fields: Fields): RequestFacts | null => {
  let seen = 0
  for (let i = 0; i < fields.size; i++) {
    const name = fields.lowerAt(i)
    const first = name.charCodeAt(0)
    if (first === 99) seen |= name === 'cache-control' ? controlBit : 0
    else if (first === 105) seen |= ifBits(name)
    else if (first === 112) seen |= name === 'pragma' ? pragmaBit : 0
    else if (first === 114) seen |= name === 'range' ? rangeBit : 0
  }
  if (seen === 0) return null
  const control = requestCacheControl(fields)
  const pragma = (seen & (controlBit | pragmaBit)) === pragmaBit && pragmaNoCache(fields)
  return new RequestFacts(control, control.noCache || pragma, seen)
}

const ifBits = (name: string): number => {
  if (name === 'if-none-match' || name === 'if-modified-since') return conditionalBit
  return name === 'if-match' || name === 'if-unmodified-since' ? forOriginBit : 0
}
