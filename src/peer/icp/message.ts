// ICP version 2 (RFC 2186): one datagram, a URI and what is to be said about it.
//
//    0  opcode, version, length (2)        8  options        12  option data        16  sender's address (unused)
//    4  request number                    20  query: requester's address (unused)   then the URI and a NUL
//                                             answer: the URI and a NUL

export const icpOpcodes = {
  query: 1,
  hit: 2,
  miss: 3,
  /** The URI cannot be read. */
  error: 4,
  /** Not here, and not to be fetched through us now. */
  missNoFetch: 21,
  denied: 22,
} as const

export type IcpAnswer = Exclude<keyof typeof icpOpcodes, 'query'>

export interface IcpMessage {
  readonly opcode: number
  readonly requestNumber: number
  readonly uri: string
}

const headBytes = 20
const queryHeadBytes = 24
const icpVersion = 2

/** More goes into no datagram that passes everywhere; whoever has such a URI is asked for nothing. */
export const uriBytesMax = 8000

/** Null: it is no message of ICP. Version 3 differs in what nobody uses (Squid answers it too). */
export const readIcp = (bytes: Buffer): IcpMessage | null => {
  if (bytes.length < headBytes || (bytes[1] !== 2 && bytes[1] !== 3) || bytes.readUInt16BE(2) !== bytes.length) return null
  const opcode = bytes[0] as number // it has 20 bytes
  const from = opcode === icpOpcodes.query ? queryHeadBytes : headBytes
  const end = bytes.indexOf(0, from)
  if (end < from) return null
  return { opcode, requestNumber: bytes.readUInt32BE(4), uri: bytes.toString('latin1', from, end) }
}

export const icpQuery = (uri: string, requestNumber: number): Buffer => written(icpOpcodes.query, uri, requestNumber, queryHeadBytes)

export const icpAnswer = (answer: IcpAnswer, uri: string, requestNumber: number): Buffer =>
  written(icpOpcodes[answer], uri, requestNumber, headBytes)

const written = (opcode: number, uri: string, requestNumber: number, head: number): Buffer => {
  const bytes = Buffer.alloc(head + uri.length + 1)
  bytes[0] = opcode
  bytes[1] = icpVersion
  bytes.writeUInt16BE(bytes.length, 2)
  bytes.writeUInt32BE(requestNumber, 4)
  bytes.write(uri, head, 'latin1')
  return bytes
}
