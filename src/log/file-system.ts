import fs from 'node:fs'

/** What a log needs of the file system. Handed in, so that a test can fill the disk. */
export interface LogFileSystem {
  /** For appending; made if it is not there. Throws what open(2) says. */
  open(path: string): number
  /** May write less than asked. */
  write(fd: number, bytes: Uint8Array, done: (error: Error | null, written: number) => void): void
  close(fd: number): void
  /** Throws what rename(2) says. */
  rename(from: string, to: string): void
  /** A file that rotation may rename; false for pipes, terminals and devices. */
  isRegular(path: string): boolean
  /** Whether the open file is still what is found there. */
  isAt(path: string, fd: number): boolean
}

/** Group may read, others nothing: an access log tells who went where. Squid's umask gives the same. */
const logMode = 0o640

/** Without O_NONBLOCK a named pipe that nobody reads would stop the process at open(2), and later at each write. */
const flags = fs.constants.O_WRONLY | fs.constants.O_APPEND | fs.constants.O_CREAT | fs.constants.O_NONBLOCK

export const systemLogFiles: LogFileSystem = {
  open: path => fs.openSync(path, flags, logMode),
  write: (fd, bytes, done) => fs.write(fd, bytes, 0, bytes.length, null, done),
  close: fd => fs.closeSync(fd),
  rename: (from, to) => fs.renameSync(from, to),
  isRegular: path => fs.statSync(path, { throwIfNoEntry: false })?.isFile() ?? false,
  isAt(path, fd) {
    const [there, open] = [fs.statSync(path, { throwIfNoEntry: false }), fs.fstatSync(fd)]
    return there !== undefined && there.ino === open.ino && there.dev === open.dev
  },
}

/**
 * The descriptor a path stands for, or -1. /dev/stdout and its like are used as they are: opening them again fails after
 * privileges are dropped, and for a file or socket would begin at its start.
 */
export const ownDescriptor = (path: string): number => {
  const named = { '/dev/stdin': 0, '/dev/stdout': 1, '/dev/stderr': 2 }[path]
  if (named !== undefined) return named
  const numbered = /^\/(?:proc\/self|dev)\/fd\/(\d{1,5})$/.exec(path)
  return numbered === null ? -1 : Number(numbered[1])
}
