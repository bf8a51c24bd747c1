import { describeHandedIn, type HandedIn } from '../../comm/index.ts'

// Socket activation as sd_listen_fds(3) has it: a service manager has opened the ports and hands them in as descriptors 3
// and up. Connections wait in them while nobody serves, so that a restart refuses nobody, and ports below 1024 need no
// capability. Each goes to the http_port or listener line with its address.

export type HandedInSockets =
  | { readonly ok: true; readonly sockets: readonly HandedIn[] }
  | { readonly ok: false; readonly reason: string }

/** SD_LISTEN_FDS_START. */
const firstFd = 3
const socketsMax = 1024

/** Takes the variables out of the environment: programs we start are not meant. */
export const takeHandedIn = (env: Record<string, string | undefined>, pid: number): HandedInSockets => {
  const { LISTEN_PID: whom, LISTEN_FDS: count = '', LISTEN_FDNAMES: names = '' } = env
  for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES', 'LISTEN_PIDFDID']) delete env[name]
  if (whom === undefined || Number(whom) !== pid) return { ok: true, sockets: [] }
  const sockets = Number(count)
  if (!/^\d+$/.test(count) || sockets > socketsMax) return { ok: false, reason: `LISTEN_FDS=${count}: a number of sockets up to ${socketsMax} was expected` }
  const named = names === '' ? [] : names.split(':')
  return handedInAt(firstFd, Array.from({ length: sockets }, (_, i) => named[i] ?? ''))
}

/** Those that lie at `first` and up. */
export const handedInAt = (first: number, names: readonly string[]): HandedInSockets => {
  const sockets: HandedIn[] = []
  for (const [i, name] of names.entries()) {
    const answer = describeHandedIn(first + i, name)
    if (!answer.ok) return answer
    sockets.push(answer.socket)
  }
  return { ok: true, sockets }
}
