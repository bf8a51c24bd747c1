import { type Clock, errnoOf } from '../base/index.ts'
import { compileStrftime } from './format/strftime.ts'
import type { OpenWay, PacketWay } from './packet-log.ts'

// syslog:FACILITY.PRIORITY. Lines go to the system's log socket as syslog(3) writes them. libc's own syslog(3) would
// wait where the daemon does not read, and the whole proxy with it; here the socket never waits.

/** Datagrams to a socket of the file system: Node has none, the native room has. */
export interface LocalDatagrams {
  /** A descriptor that never waits, connected to the socket of that path. Throws an error with a `code`. */
  open(path: string): number
  /** Throws an error with a `code`. */
  send(fd: number, bytes: Uint8Array): void
  close(fd: number): void
}

export interface SyslogOptions {
  readonly clock: Clock
  readonly level: number
  /** Null: the native room is absent. */
  readonly datagrams: LocalDatagrams | null
  /** /dev/log, but for tests. */
  readonly path: string
}

/** rsyslog and journald cut there, or earlier. */
const lineBytesMax = 8 * 1024

export const syslogWay = ({ clock, level, datagrams, path }: SyslogOptions): OpenWay => {
  const time = compileStrftime('%b %e %H:%M:%S', 'local')
  const head = (): string => `<${level}>${time(clock.wall())} glassquid[${process.pid}]: `
  return opened => {
    if (datagrams === null) return opened({ ok: false, reason: 'the addon is absent, and Node itself cannot reach the log socket' })
    try {
      opened({ ok: true, way: wayOf(datagrams, datagrams.open(path), head) })
    } catch (error) {
      opened({ ok: false, reason: `${path}: ${errnoOf(error) || String(error)}` })
    }
  }
}

const wayOf = (datagrams: LocalDatagrams, fd: number, head: () => string): PacketWay => ({
  send(line, done) {
    const text = line.endsWith('\n') ? line.slice(0, -1) : line
    try {
      datagrams.send(fd, Buffer.from((head() + text).slice(0, lineBytesMax), 'latin1'))
    } catch (error) {
      const code = errnoOf(error)
      if (code === 'EAGAIN' || code === 'ENOBUFS') return done('full', code)
      return done(code === 'EMSGSIZE' ? 'lost' : 'broken', code || String(error))
    }
    done('sent', '')
  },
  close: () => datagrams.close(fd),
})
