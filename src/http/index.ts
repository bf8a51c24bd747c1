// http: the grammar of HTTP/1, pure. Bytes and text in, values out; no socket, no clock, no state but the readers' own.
//
// holds          Fields; heads of requests and responses, read strictly and written; the chunked coding and bodies;
//                target URIs and Host; dates; Cache-Control, Age; ranges; entity tags and lists; Via and what is
//                hop-by-hop; methods, status codes; Cache-Status
// does not hold  decisions: what to answer, where to send, what to store (proxy, cache, router)
// called by      acl, log, cache, router, chainer, proxy, admin
// calls          base

export * from './body-reader.ts'
export * from './cache-control.ts'
export * from './cache-status.ts'
export { isFieldValue, isToken } from './characters.ts'
export {
  ChunkedDecoder, type ChunkedLimits, chunkEnd, chunkHead, type ContentSink, lastChunk, mayBeTrailer, usualChunkedLimits,
} from './chunked.ts'
export * from './dates.ts'
export * from './effective-uri.ts'
export * from './etags.ts'
export { type DictionaryValue, parseDictionary } from './dictionary.ts'
export { lowerName } from './field-names.ts'
export { Fields } from './fields.ts'
export { chunkedContent, type Framing, lengthContent, noContent, untilClose } from './framing.ts'
export type { BlanksInTarget } from './blanks-in-target.ts'
export { type Bad, type BadReason, badReasons, type HeadAnswer, type HeadLimits, usualHeadLimits } from './head.ts'
export * from './hop-by-hop.ts'
export { detached } from './latin1.ts'
export * from './lists.ts'
export * from './methods.ts'
export * from './ranges.ts'
export { parseRequestHead, persists, type RequestHead, type TargetForm } from './request-head.ts'
export { parseResponseHead, type ResponseHead } from './response-head.ts'
export * from './status.ts'
export * from './target-uri.ts'
export { type Surrogate, surrogateControl } from './surrogate-control.ts'
export { targetedCacheControl } from './targeted-cache-control.ts'
export * from './via.ts'
export * from './write-head.ts'
