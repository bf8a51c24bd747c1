import { bytes, mib } from '../../base/index.ts'
import type { CacheDir } from '../config.ts'
import type { Line, Word } from '../line.ts'
import { nearest } from '../nearest.ts'
import { wholeNumber } from '../values.ts'
import type { Kind } from './directive.ts'
import { lines } from './kinds.ts'

// cache_dir TYPE DIRECTORY MBYTES [L1 L2] [options]. Squid's types are ways of laying out files; we have one of our own,
// so of what a line says the directory, its size and the bounds of what goes there count.

const grammar = 'TYPE DIRECTORY MBYTES [L1 L2] [options]'

const types = ['ufs', 'aufs', 'diskd', 'rock', 'null'] as const

/** Numbers of folders; rock has none. */
const withFolders: readonly string[] = ['ufs', 'aufs', 'diskd']

/** What they say is about a layout that is not ours. */
const meaningless: readonly string[] = ['slot-size', 'swap-timeout', 'max-swap-rate', 'Q1', 'Q2', 'IOEngine', 'max-objsize']

type Bounds = { -readonly [K in 'objectBytesMin' | 'objectBytesMax' | 'readOnly']: CacheDir[K] }

export const cacheDirs: Kind<readonly CacheDir[]> = lines(grammar, line => {
  const at = line.at()
  const type = line.next()
  if (type === null) {
    line.fatal(`${line.name} needs ${grammar}`)
    return undefined
  }
  if (type.text === 'coss') {
    line.rest()
    // Squid 3 and later go on without it, too
    line.warning(`${line.name}: there is no coss any more; the line is ignored`, type, 'write: cache_dir rock DIRECTORY MBYTES')
    return null
  }
  if (!types.includes(type.text as (typeof types)[number])) {
    const like = nearest(type.text, types)
    line.fatal(`${line.name}: '${type.text}' is no type of cache_dir`, type, like === null ? `types are ${types.join(', ')}` : `did you mean ${like}?`)
    return undefined
  }
  if (type.text === 'null') {
    line.rest()
    return null // nothing is kept on disk, as without the line
  }
  const folder = line.next()
  const size = line.next()
  if (folder === null || size === null) {
    line.fatal(`${line.name} needs ${grammar}`)
    return undefined
  }
  const megabytes = wholeNumber(size.text)
  if (megabytes === null || megabytes < 1) {
    line.fatal(`${line.name}: expecting a whole number of megabytes, got '${size.text}'`, size, 'for example: cache_dir ufs /var/cache/glassquid 10000')
    return undefined
  }
  if (!folder.text.startsWith('/')) line.warning(`${line.name}: ${folder.text} is relative to the working directory`, folder)
  if (withFolders.includes(type.text)) skipFolders(line)
  const bounds: Bounds = { objectBytesMin: bytes(0), objectBytesMax: null, readOnly: false }
  for (let word = line.next(); word !== null; word = line.next()) if (!readOption(line, word, bounds)) return undefined
  return { folder: folder.text, bytesMax: bytes(megabytes * mib(1)), ...bounds, text: line.read, at }
})

/** L1 and L2. */
const skipFolders = (line: Line): void => {
  for (let i = 0; i < 2; i++) {
    const word = line.peek()
    if (word === null || wholeNumber(word.text) === null) return
    line.next()
  }
}

const readOption = (line: Line, word: Word, bounds: Bounds): boolean => {
  const [name = '', value] = word.text.split(/=(.*)/s)
  if (name === 'read-only' || name === 'no-store') bounds.readOnly = true
  else if (name === 'min-size' || name === 'max-size') {
    const number = value === undefined ? null : wholeNumber(value)
    if (number === null || number < -1) {
      line.fatal(`${line.name}: ${name} expects a number of bytes, got '${value ?? ''}'`, word)
      return false
    }
    if (name === 'min-size') bounds.objectBytesMin = bytes(Math.max(0, number))
    else bounds.objectBytesMax = number === -1 ? null : bytes(number)
  } else if (!meaningless.includes(name)) {
    line.fatal(`${line.name}: unknown option '${word.text}'`, word, 'options are min-size=, max-size= and read-only')
    return false
  }
  return true
}
