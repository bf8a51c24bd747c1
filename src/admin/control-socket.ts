import { lstatSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { errnoOf } from '../base/index.ts'
import { Fields } from '../http/index.ts'
import type { AdminAnswer, AdminRequest } from './answer.ts'

// The control socket: the manager's pages for whoever may open a file of mode 0600, and needs no password then. It speaks
// HTTP, so that curl --unix-socket does what our own command line does. node:http is good enough for it: a handful of
// requests a day, from the owner of the process.

export type ControlOpened =
  | { readonly ok: true; readonly socket: ControlSocket }
  | { readonly ok: false; readonly reason: string }

export interface ControlSocket {
  readonly path: string
  /** No new questions; answers under way are cut off. The file goes. */
  close(): Promise<void>
}

export interface ControlOptions {
  readonly path: string
  /** Whoever comes by the socket needs no password. */
  readonly answer: (request: AdminRequest) => Promise<AdminAnswer>
  /** A page threw: a fault of ours. */
  readonly failed: (error: unknown, where: string) => void
}

/** sun_path, with its last zero byte: 108 on Linux, 104 on the BSDs. */
const pathBytesMax = 103
/** Of one POST: some ten thousand URLs to purge. */
const formBytesMax = 1024 * 1024
const connectionsMax = 64
const headersMsMax = 10_000

export const openControlSocket = async (options: ControlOptions): Promise<ControlOpened> => {
  const { path } = options
  if (Buffer.byteLength(path) > pathBytesMax) return { ok: false, reason: `${path} is longer than ${pathBytesMax} bytes` }
  const inTheWay = await clearPath(path)
  if (inTheWay !== null) return { ok: false, reason: inTheWay }
  const server = createServer({ headersTimeout: headersMsMax, maxHeaderSize: 64 * 1024 }, (request, response) => {
    answer(options, request, response).catch(error => {
      options.failed(error, `control socket ${request.url ?? ''}`)
      if (!response.headersSent) response.writeHead(500, { 'Content-Type': 'text/plain' })
      response.end('a fault of ours; cache.log has it\n')
    })
  })
  server.maxConnections = connectionsMax
  const failure = await listening(server, path)
  if (failure !== null) return { ok: false, reason: `${path}: ${failure}` }
  server.unref()
  return {
    ok: true,
    socket: {
      path,
      close: () =>
        new Promise(resolve => {
          server.close(() => resolve())
          server.closeAllConnections()
          removeSocket(path)
        }),
    },
  }
}

/** Whose folder is not ours (privileges dropped) keeps it: the next process finds that nobody listens there. */
const removeSocket = (path: string): void => {
  try {
    rmSync(path, { force: true })
  } catch (error) {
    if (!['EACCES', 'EPERM', 'EROFS'].includes(errnoOf(error))) throw error
  }
}

/** What a former process has left goes; null = there is nothing any more. A living one's stays, and anything else. */
const clearPath = async (path: string): Promise<string | null> => {
  let isSocket: boolean
  try {
    isSocket = lstatSync(path).isSocket()
  } catch (error) {
    return errnoOf(error) === 'ENOENT' ? null : `${path}: ${errnoOf(error)}`
  }
  if (!isSocket) return `${path} is there, and is no socket`
  if (await somebodyListens(path)) return `${path}: another process listens there`
  try {
    rmSync(path, { force: true })
    return null
  } catch (error) {
    return `${path} cannot be replaced: ${errnoOf(error)}`
  }
}

const somebodyListens = (path: string): Promise<boolean> =>
  new Promise(resolve => {
    const probe = connect(path)
    probe.on('connect', () => {
      probe.destroy()
      resolve(true)
    })
    probe.on('error', () => resolve(false))
  })

/** Null, or why not. bind(2) happens within `listen`, so the mask makes the file what it is from its first moment. */
const listening = (server: Server, path: string): Promise<string | null> =>
  new Promise(resolve => {
    server.once('error', error => resolve(error.message))
    const mask = process.umask(0o177)
    try {
      server.listen(path, () => resolve(null))
    } finally {
      process.umask(mask)
    }
  })

const answer = async (options: ControlOptions, request: IncomingMessage, response: ServerResponse): Promise<void> => {
  const form = await contentOf(request)
  if (form === null) {
    response.writeHead(413, { 'Content-Type': 'text/plain', Connection: 'close' })
    response.end(`more than ${formBytesMax} bytes\n`)
    return
  }
  const answered = await options.answer({
    method: request.method ?? 'GET',
    path: request.url ?? '/',
    fields: Fields.from(request.rawHeaders),
    form,
  })
  response.writeHead(answered.status, [...answered.pairs])
  response.end(request.method === 'HEAD' ? undefined : answered.content)
}

/** Null: it is too long. */
const contentOf = async (request: IncomingMessage): Promise<string | null> => {
  const pieces: Buffer[] = []
  let bytes = 0
  for await (const piece of request as AsyncIterable<Buffer>) { // no encoding is set
    bytes += piece.length
    if (bytes > formBytesMax) return null
    pieces.push(piece)
  }
  return Buffer.concat(pieces).toString('utf8')
}
