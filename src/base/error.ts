import { type ErrorCode, errorTable } from './error-table.ts'

export type Side = 'client' | 'server' | 'proxy'
/** Whether the same request may be tried again: never, on another connection if this one was reused, or anywhere. */
export type Retry = 'no' | 'if-reused' | 'yes'

/** A failure of one transaction or connection. Compare `code`, never `message`. */
export class ProxyError extends Error {
  override name = 'ProxyError'
  readonly code: ErrorCode
  readonly side: Side
  readonly retry: Retry
  /** The system's errno name (ECONNREFUSED …) where there is one; shown in X-Squid-Error and the log. */
  readonly errno: string
  /** The fault in the words of other people's tables: X509_V_ERR_…, ERR_SSL_…; '' = it has none. */
  readonly fault: string

  constructor(
    code: ErrorCode,
    detail: string,
    options: { readonly side?: Side; readonly retry?: Retry; readonly errno?: string; readonly fault?: string; readonly cause?: unknown } = {},
  ) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.side = options.side ?? 'proxy'
    this.retry = options.retry ?? 'no'
    this.errno = options.errno ?? ''
    this.fault = options.fault ?? ''
  }

  get status(): number {
    return errorTable[this.code].status
  }
}

/** The system's word for an error thrown by Node or by comm, or ''. */
export const errnoOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
