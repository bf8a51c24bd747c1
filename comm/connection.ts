import type { Endpoint, Introduction } from '../src/base/index.ts'
import type { OriginalDestination } from './nat-lookup/original-destination.ts'

// A TCP connection, or one client's datagrams to one destination (see datagram/connection.ts for the differences), as the
// rest of the program sees it, whichever engine carries it.
//
//   reader.onData ◄── engine ◄── kernel          bytes of a whole loop turn arrive in one batch over a shared slab;
//   write(a, b, c) ──► engine ──► kernel          what is written during the batch leaves at its end in one call
//
// Exactly one owner: whoever set the reader. The owner ends it (close, closeAfterFlush, resetClose).

/** Why a connection ended; given to close handlers and to the log. */
export const closeReasons = {
  done: 'we closed it, everything said',
  'peer-closed': 'the other side closed, nothing was in work',
  'peer-reset': 'the other side reset the connection',
  'read-error': 'read(2) failed',
  'write-error': 'write(2) failed',
  timeout: 'a deadline passed and nobody handled it',
  refused: 'a rule or limit said no',
  aborted: 'we gave it up (reset)',
  shutdown: 'the process is stopping',
  'handler-failed': 'a callback threw: a bug of ours',
} as const

export type CloseReason = keyof typeof closeReasons

/** The owner's side of a connection. Methods are called by comm, never inside one another for one connection. */
export interface ConnectionReader {
  /**
   * Bytes slab[start, end). The slab is reused after the call: copy what must last, or write a view of it to another
   * connection within the call (then it need not be copied). Everything given counts as consumed; a reader that cannot take more now calls `deferRead()` and keeps what it has.
   */
  onData(connection: Connection, slab: Buffer, start: number, end: number): void
  /** The peer sent FIN. Writing goes on working. Not called after close. */
  onEnd(connection: Connection): void
  /** Output had been waiting and has all gone to the kernel. */
  onDrain(connection: Connection): void
  /** The deadline set by `setTimeout` passed. The reader decides; doing nothing leaves the connection open. */
  onTimeout(connection: Connection): void
  /** Last call, exactly once, also for our own close. The descriptor must not be used any more. */
  onClose(connection: Connection, why: CloseReason): void
}

/** What the kernel does with the packets of a connection; what is absent stays as it is. */
export interface Tuning {
  /** IP_TOS, IPV6_TCLASS: 0...255, of which the lowest two bits are the kernel's. */
  readonly tos?: number
  /** SO_MARK: these bits of it. */
  readonly mark?: { readonly value: number; readonly mask: number }
  /** A silent peer is asked whether it is there: after so long, so often, until so long has passed. Seconds; 0 = the system's. */
  readonly keepAlive?: { readonly idle: number; readonly interval: number; readonly timeout: number }
  /** Packets may be cut on their way: no path MTU discovery. */
  readonly cutPackets?: boolean
  /** SO_RCVBUF; the kernel takes twice that. */
  readonly receiveBytes?: number
}

export interface Connection {
  /** Serial number, never reused in this process. */
  readonly id: number
  /** udp: every onData and every write is one datagram. */
  readonly protocol: 'tcp' | 'udp'
  /** The descriptor; -1 once closed, and where the engine has none to show. */
  readonly fd: number
  readonly peer: Endpoint
  /** Our end as getsockname tells it. For tproxy that is the original destination. */
  readonly local: Endpoint
  /** What the NAT look-up found at accept; `direct` for connections we opened ourselves. */
  readonly original: OriginalDestination
  /** What somebody who was believed has said of it; null = nobody. Absent where nobody can. */
  readonly introduced?: Introduction | null
  readonly bytesRead: number
  readonly bytesWritten: number
  /** Bytes written by us that the kernel has not taken yet. */
  readonly pending: number
  readonly closed: boolean
  /** The peer has sent FIN (Lusca's socket_eof). */
  readonly ended: boolean
  /** For the fd table. Kept short: it stays in memory per connection. */
  note: string

  /**
   * It is another's than the packets say (PROXY protocol): these ends count from here on. Once, before anybody keeps them.
   */
  introduce?(peer: Endpoint, local: Endpoint, original: OriginalDestination, pairs: readonly string[]): void
  setReader(reader: ConnectionReader): void
  /**
   * The reader has looked at these bytes, the last it was given, and leaves them, and the connection, to the next one: that
   * one is told of them first, after `setReader` has returned, and of a FIN that was seen. Nothing is read meanwhile. Kept,
   * not copied. TCP only.
   */
  giveBack(bytes: Buffer): void
  /**
   * Up to three parts in one go (head, its changing tail, content). Strings are latin1, as HTTP heads are. Buffers are
   * not copied when larger than 16 KB: they must not change until drained. False: output is waiting in our memory; stop until
   * onDrain. Writing to a closed connection is ignored and answers false.
   */
  write(a: Buffer | string, b?: Buffer | string | null, c?: Buffer | string | null): boolean
  /** A Buffer of up to so many bytes has been copied when `write` has answered true. Absent: none has. */
  readonly copiedMax?: number
  /** Memory that was lent (native `lend`) leaves without a copy. Absent: it is copied, as all other. */
  readonly takesPages?: boolean
  /**
   * Bytes [at, at + bytes) of an open file, without their being read; what was written before leaves first. Answers how
   * many the kernel took, up to 1 MB at a time and none while output waits; unless they were all and `last`, onDrain follows
   * when there is room. -1: this part of the file cannot be sent so (it is not in the system's cache, or the file system does
   * not know how), read and write it. The descriptor is not kept. Absent where the engine has no such power.
   */
  sendFile?(file: number, at: number, bytes: number, last: boolean): number
  /** There is something to read that nobody has read yet. Absent where the engine cannot tell. */
  inputWaits?(): boolean
  /** Stop reading (back-pressure). Idempotent. */
  deferRead(): void
  resumeRead(): void
  /** FIN after everything pending has gone. */
  shutdownWrite(): void
  /** Lusca commSetTimeout: replaces the deadline; 0 clears it. Up to half a second late, never early. */
  setTimeout(delayMs: number): void
  /** The kernel asks from now on whether a silent peer is still there, as often as the system is set to (SO_KEEPALIVE). */
  keepAlive(): void
  /** False: the kernel refused some of it (a mark needs CAP_NET_ADMIN). Absent where there is no socket of ours. */
  tune?(tuning: Tuning): boolean
  /** LIFO, after reader.onClose. Lusca comm_add_close_handler; a handler given twice is a Bug. */
  addCloseHandler(handler: CloseHandler): void
  removeCloseHandler(handler: CloseHandler): void
  /**
   * What was written in this turn is tried once, output that waits is dropped. Idempotent, allowed inside any callback;
   * the owner is told after that callback has returned.
   */
  close(why?: CloseReason): void
  /** Close when everything pending has gone; input is thrown away meanwhile. Bounded by write_timeout of the owner. */
  closeAfterFlush(why?: CloseReason): void
  /** RST instead of FIN (SO_LINGER {1,0}). */
  resetClose(why?: CloseReason): void
}

export type CloseHandler = (connection: Connection, why: CloseReason) => void
