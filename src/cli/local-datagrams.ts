import { errnoName } from '../../comm/index.ts'
import { native } from '../../native/index.ts'
import type { LocalDatagrams } from '../log/index.ts'

/** The system's log socket, where the addon is there to reach it. */
export const localDatagrams = (): LocalDatagrams | null => {
  if (!native.present) return null
  const { addon } = native
  return {
    open: path => checked('connect', addon.localOpen(Buffer.from(path))),
    send: (fd, bytes) => void checked('send', addon.localSend(fd, bytes)),
    close: fd => void addon.localClose(fd),
  }
}

const checked = (call: string, answer: number): number => {
  if (answer >= 0) return answer
  const code = errnoName(-answer)
  throw Object.assign(new Error(`${call}: ${code}`), { code })
}
