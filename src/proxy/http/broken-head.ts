import type { Outcome } from '../../base/index.ts'
import { isToken } from '../../http/index.ts'

// What the record says of a request that was refused before it was understood: the words of its first line, as far as
// they are there, so that whoever reads the log sees who asked for what.

/** More of a line is of no use to a reader. */
const lineBytesMax = 4096
const methodLengthMax = 32

export const tellBroken = (o: Outcome, bytes: Buffer): void => {
  o.requestHeadBytes = bytes.length
  const end = bytes.indexOf(10)
  if (end < 0 || end > lineBytesMax) return
  const line = bytes.toString('latin1', 0, end).trim()
  const [method = ''] = line.split(' ', 1)
  if (method.length > methodLengthMax || !isToken(method)) return
  o.method = method
  const version = / HTTP\/1\.([01])$/.exec(line)
  o.versionMinor = Number(version?.[1] ?? 0)
  const target = line.slice(method.length, version?.index).replace(/ HTTP\/\S*$/, '').trim()
  // what stands before an @ may be a password, wherever in a target that nobody can read
  if (target !== '') o.uri = target.replace(/^.*@/s, '***@')
}
