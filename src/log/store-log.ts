import { createHash } from 'node:crypto'
import type { Clock, FieldView, WallMs } from '../base/index.ts'
import { parseHttpDate, parseResponseCacheControl } from '../http/index.ts'
import { countLog } from './counters.ts'
import { systemLogFiles } from './file-system.ts'
import { loggedUri, mediaType } from './format/uri-text.ts'
import { LogFile } from './log-file.ts'

// cache_store_log: a line for each response that is written to disk, read from it, let go, or not stored at all, as
// Squid's store.log has it:
//
//   1795178637.806 SWAPOUT 00 00000000 9DB51439E2E3AFB93D981F69480820C3  200 1795178637        -1 1795179237 text/plain 2100/2100 GET http://x/
//   time           action  dir number  key                              status  Date  Last-Modified  Expires   type   length/got method URI

export const storeActions = {
  SWAPOUT: 'written to a cache_dir',
  SWAPIN: 'read from a cache_dir into memory',
  RELEASE: 'let go; without a directory (-1 FFFFFFFF): memory alone had it, or it was never stored',
  SO_FAIL: 'a cache_dir could not take it',
} as const

export type StoreAction = keyof typeof storeActions

/** One response, as its line tells of it. Times in seconds since 1970, -1 = not known. */
export interface StoreLine {
  readonly action: StoreAction
  /** Of cache_dir lines, from 0; -1 = none. */
  readonly dir: number
  readonly number: number
  readonly method: string
  readonly uri: string
  readonly status: number
  readonly date: number
  readonly lastModified: number
  readonly expires: number
  readonly contentType: string
  /** Content-Length, -1 = none; and what there is. */
  readonly length: number
  readonly bytes: number
  /** It was never stored: its key is a number of its own. */
  readonly unstored: boolean
}

export interface StoreLogOptions {
  readonly clock: Clock
  /** Called rarely. */
  readonly trouble: (message: string) => void
  readonly relief?: (message: string) => void
  /** logfile_rotate. */
  readonly keep: number
  readonly stripQueryTerms: boolean
}

export interface StoreLog {
  write(line: StoreLine): void
  rotate(): void
  close(): Promise<void>
}

const chunkBytes = 64 * 1024
const delayMs = 1000

export const createStoreLog = (path: string, options: StoreLogOptions): StoreLog => {
  const file = new LogFile(path, { ...options, files: systemLogFiles, fatal: null, encoding: 'latin1', chunkBytes, delayMs })
  let unstored = 0
  return {
    write(line) {
      countLog.storeLines++
      const key = line.unstored ? privateKey(++unstored) : keyText(line.method, line.uri)
      file.write(storeLine(line, key, options.clock.wall(), options.stripQueryTerms))
    },
    rotate: () => file.rotate(),
    close: () => file.close(),
  }
}

/** One line, with its end. */
export const storeLine = (line: StoreLine, key: string, now: WallMs, stripQuery: boolean): string => {
  const at = `${Math.floor(now / 1000)}.${String(Math.floor(now % 1000)).padStart(3, '0')}`
  const dir = line.dir < 0 ? '-1' : String(line.dir).padStart(2, '0')
  const number = line.dir < 0 ? 'FFFFFFFF' : (line.number >>> 0).toString(16).toUpperCase().padStart(8, '0')
  const times = [line.date, line.lastModified, line.expires].map(time => String(time).padStart(9)).join(' ')
  const type = mediaType(line.contentType) || 'unknown'
  return (
    `${at} ${line.action.padEnd(7)} ${dir} ${number} ${key} ${String(line.status).padStart(4)} ${times} ` +
    `${type} ${line.length}/${line.bytes} ${line.method} ${loggedUri(line.uri, stripQuery)}\n`
  )
}

/** Squid's numbers of methods in its keys; of what else is stored none. */
const methodByte = (method: string): number => (method === 'HEAD' ? 4 : method === 'POST' ? 2 : 1)

/** As Squid makes it of what has no Vary: MD5 of the method's number and the URI. A name for a response, no more. */
export const keyText = (method: string, uri: string): string =>
  createHash('md5').update(Buffer.from([methodByte(method)])).update(uri, 'latin1').digest('hex').toUpperCase()

/** Of what nobody could ask for again. */
const privateKey = (number: number): string => {
  const key = Buffer.alloc(16)
  key.writeUInt32LE(number >>> 0, 0)
  key.writeUInt32LE(process.pid, 8)
  return key.toString('hex').toUpperCase()
}

/** Date, Last-Modified and what explicit freshness ends at, of a head. */
export const timesOf = (fields: FieldView | null, now: WallMs): Pick<StoreLine, 'date' | 'lastModified' | 'expires'> => {
  const of = (name: string): number => {
    const text = fields?.get(name)
    const at = text === undefined ? null : parseHttpDate(text, now)
    return at === null ? -1 : Math.floor(at / 1000)
  }
  const date = of('date')
  const said = fields?.joined('cache-control')
  const control = said === undefined ? null : parseResponseCacheControl(said)
  const lifetime = control?.sMaxage ?? control?.maxAge ?? null
  const base = date < 0 ? Math.floor(now / 1000) : date
  const expires = lifetime !== null ? base + lifetime : fields?.get('expires') === undefined ? -1 : Math.max(of('expires'), 0) || base
  return { date, lastModified: of('last-modified'), expires }
}
