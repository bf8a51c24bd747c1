import { request } from 'node:http'
import { errnoOf } from '../base/index.ts'
import { managerPath } from './answer.ts'

// The other end: our own command line asks the running proxy.

export type ControlAnswer =
  | { readonly ok: true; readonly status: number; readonly text: string }
  /** `absent`: nobody listens there. `late`: it was asked, and has not answered in time. */
  | { readonly ok: false; readonly absent: boolean; readonly late: boolean; readonly reason: string }

/** Of one answer; what is longer is cut off by ending the connection. */
const answerBytesMax = 256 * 1024 * 1024

/** Never rejects. `patienceMs` without a byte ends it. */
export const askControlSocket = (
  socketPath: string,
  page: string,
  args: URLSearchParams,
  method: 'GET' | 'POST',
  patienceMs: number,
): Promise<ControlAnswer> =>
  new Promise(resolve => {
    const form = args.toString()
    let late = false
    const path = `${managerPath}${page}${method === 'GET' && form !== '' ? `?${form}` : ''}`
    const asking = request(
      {
        socketPath, path, method, timeout: patienceMs, setDefaultHeaders: false,
        headers: { Host: 'localhost', Connection: 'close', ...(method === 'POST' ? formFields(form) : {}) },
      },
      response => {
        const pieces: Buffer[] = []
        let bytes = 0
        response.on('data', (piece: Buffer) => {
          bytes += piece.length
          if (bytes > answerBytesMax) asking.destroy(new Error('the answer is too long'))
          else pieces.push(piece)
        })
        response.on('end', () => resolve({ ok: true, status: response.statusCode ?? 0, text: Buffer.concat(pieces).toString('utf8') }))
        response.on('error', error => resolve({ ok: false, absent: false, late, reason: error.message }))
      },
    )
    asking.on('timeout', () => {
      late = true
      asking.destroy(new Error(`no answer within ${patienceMs} ms`))
    })
    asking.on('error', error => {
      const code = errnoOf(error)
      resolve({ ok: false, absent: code === 'ENOENT' || code === 'ECONNREFUSED', late, reason: error.message })
    })
    asking.end(method === 'POST' ? form : undefined)
  })

const formFields = (form: string): Record<string, string> => ({
  'Content-Type': 'application/x-www-form-urlencoded',
  'Content-Length': String(Buffer.byteLength(form)),
})
