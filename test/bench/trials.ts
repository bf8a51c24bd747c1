import { origin, type Way } from './gateway.ts'
import type { Load } from './load.ts'
import { type Large, largeMib } from './large.ts'
import type { Work } from './subjects.ts'

/** One line of the table: every subject that knows the work does it in every round. */
export interface Trial {
  readonly name: string
  readonly work: Work
  readonly way: Way
  /** Needs a subject that stores on disk. */
  readonly disk: boolean
  readonly does:
    | { readonly kind: 'load'; readonly load: Load }
    /** At 0.7 of what the subject did in the same round as a load. */
    | { readonly kind: 'rate'; readonly load: Load; readonly path: string }
    | { readonly kind: 'large'; readonly large: Large }
}

const browser = [
  'User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36',
  'Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8',
  'Accept-Encoding: gzip, deflate, br, zstd',
  'Accept-Language: en-GB,en;q=0.9,de;q=0.8',
  'Cookie: session=6f1d0c7be0af4a51b8a2; theme=dark; consent=yes; _ga=GA1.1.1234567890.1700000000',
  'Sec-Fetch-Dest: document',
  'Sec-Fetch-Mode: navigate',
  'Sec-Fetch-Site: none',
  'Upgrade-Insecure-Requests: 1',
  'Referer: http://203.0.113.10/index.html',
]

export interface TrialOptions {
  readonly seconds: number
  readonly connections: number
  readonly sizes: readonly number[]
  /** Large objects fetched in one measurement. */
  readonly largeCount: number
}

export const trials = ({ seconds, connections, sizes, largeCount }: TrialOptions): readonly Trial[] => {
  const loaded = (name: string, work: Work, path: string, headers: readonly string[] = [], way: Way = 'redirect'): Trial => {
    const load = { seconds, connections, url: `http://${origin}${path}`, headers }
    return { name, work, way, disk: false, does: { kind: 'load', load } }
  }
  const large = (name: string, work: Work, path: string, disk: boolean): Trial => {
    const url = `http://${origin}${path}`
    return { name, work, way: 'redirect', disk, does: { kind: 'large', large: { url, count: largeCount } } }
  }
  const latency = { seconds, connections, url: `http://${origin}/1k`, headers: [] }
  return [
    ...sizes.map(kib => loaded(`memory hit ${kib} KB, keep-alive`, 'hit', `/${kib}k`)),
    loaded("memory hit 1 KB, a browser's head", 'hit-browser', '/1k', browser),
    ...sizes.map(kib => loaded(`memory hit ${kib} KB, keep-alive, TPROXY`, 'hit-tproxy', `/${kib}k`, [], 'tproxy')),
    {
      name: 'latency of memory hits 1 KB at 70 % of the own top rate',
      work: 'latency',
      way: 'redirect',
      disk: false,
      does: { kind: 'rate', load: latency, path: '/1k' },
    },
    loaded('memory hit 1 KB, a new connection each', 'connect', '/1k', ['Connection: close']),
    loaded('miss 1 KB (no-store), pooled origin', 'miss', '/miss/1k'),
    loaded("miss 1 KB (no-store), pooled origin, the client's address, TPROXY", 'miss-tproxy', '/miss/1k', [], 'tproxy'),
    large(`${largeMib} MB, hit from memory`, 'large-hit', `/${largeMib}m`, false),
    large(`${largeMib} MB, hit from disk`, 'large-disk', `/${largeMib}m`, true),
    large(`${largeMib} MB, miss that is stored on disk`, 'large-store', `/${largeMib}m?#`, true),
    large(`${largeMib} MB, miss that is not stored`, 'large-pass', `/miss/${largeMib}m`, false),
  ]
}
