import { COMM_REUSEPORT } from '../../comm/index.ts'
import { endpointText } from '../base/index.ts'
import { difference, type ListenParameters, parameterWords, protocolOf } from './dispatcher.ts'
import { type ListenerOptions, priorityOf } from './listener.ts'

// Listeners of one configuration that cannot stand beside each other, found before any of them is opened. Zorp lets the
// first one win in silence, the kernel says EADDRINUSE and names neither; here both places are named.

export interface Clash {
  readonly options: ListenerOptions
  readonly detail: string
}

/** One per listener at most; the other one of a pair is always an earlier one. */
export const clashesOf = (wanted: readonly ListenerOptions[]): Clash[] => {
  const clashes: Clash[] = []
  /** The first listener of each bind, and those for every address by port. */
  const first = new Map<string, ListenerOptions>()
  const entries = new Map<string, ListenerOptions>()
  const wide = new Map<string, ListenerOptions[]>()
  const narrow = new Map<string, ListenerOptions[]>()
  for (const options of wanted) {
    const detail = clashWith(options, entries.get(entryKey(options)), first.get(bindKey(options)), [
      ...(wide.get(portKey(options)) ?? []),
      ...(isWide(options) ? (narrow.get(portKey(options)) ?? []) : []),
    ])
    if (detail !== null) clashes.push({ options, detail })
    if (options.bind.port === 0) continue
    if (!entries.has(entryKey(options))) entries.set(entryKey(options), options)
    if (first.has(bindKey(options))) continue
    first.set(bindKey(options), options)
    const side = isWide(options) ? wide : narrow
    side.set(portKey(options), [...(side.get(portKey(options)) ?? []), options])
  }
  return clashes
}

/** A bind of its own for each device. */
export const bindKey = ({ bind, name, parameters }: ListenerOptions): string =>
  `${protocolOf(parameters)} ${endpointText(bind)} ${bind.port === 0 ? name : (parameters.device ?? '')}`

/** Datagrams and connections have ports of their own. */
const portKey = ({ bind, parameters }: ListenerOptions): string => `${protocolOf(parameters)} ${bind.port}`

/** A port the kernel chooses is never the same as another's. */
export const entryKey = (options: ListenerOptions): string => `${bindKey(options)} ${priorityOf(options)}`

const clashWith = (
  options: ListenerOptions,
  same: ListenerOptions | undefined,
  bound: ListenerOptions | undefined,
  others: readonly ListenerOptions[],
): string | null => {
  const what = endpointText(options.bind)
  if (options.bind.port === 0) return null
  if (same !== undefined) return `${what} is listened on twice${both(options, same)}; with another priority= one is asked after the other`
  if (bound !== undefined) {
    const differs = difference(bound.parameters, options.parameters)
    if (differs === null && limitsDiffer(bound.parameters, options.parameters)) {
      return `${what} is one receiver for two lines${both(options, bound)}, and they want other limits`
    }
    return differs === null ? null : `${what} is one socket for two listeners${both(options, bound)}, and they want another ${parameterWords[differs]}`
  }
  const over = others.find(other => takesTheSame(options, other))
  return over === undefined
    ? null
    : `${what} and ${endpointText(over.bind)}${both(options, over)} are the same port of the same addresses: the kernel gives it to one socket`
}

const both = (one: ListenerOptions, other: ListenerOptions): string =>
  one.place === undefined || other.place === undefined ? '' : ` (${other.place} and ${one.place})`

const limitsDiffer = ({ datagrams: one }: ListenParameters, { datagrams: other }: ListenParameters): boolean =>
  one?.flowsMax !== other?.flowsMax || one?.flowsPerClientMax !== other?.flowsPerClientMax || one?.bufferBytes !== other?.bufferBytes

const isWide = ({ bind: { address } }: ListenerOptions): boolean => address === '::' || address === '0.0.0.0'

/** One of the two is for every address. */
const takesTheSame = (a: ListenerOptions, b: ListenerOptions): boolean => {
  if ((a.parameters.flags & b.parameters.flags & COMM_REUSEPORT) !== 0) return false
  const [one, other] = [a.parameters.device, b.parameters.device]
  if (one !== undefined && other !== undefined && one !== other) return false
  if (a.bind.family === b.bind.family) return isWide(a) || isWide(b)
  const six = a.bind.family === 6 ? a : b
  return isWide(six) && six.parameters.dualStack
}
