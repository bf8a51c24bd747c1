import { compilePosixRegex } from '../acl/index.ts'
import type { DebugLog } from '../log/index.ts'
import { byHost, byPattern, byPrefix, byTag, type CacheKey, keysOf, type PurgeParts, purgeKey, purgeSelected, type Selection } from '../cache/index.ts'
import { parseAbsolute, uriText } from '../http/index.ts'
import { type Arguments, type Page, type PageRefusal, refusedPage } from '../manager/index.ts'
import { CountHttp, type HttpPolicy } from '../proxy/index.ts'

// Purge by the manager: one page that does it. What is meant is said by arguments, each as often as wished:
//
//   uri=URL   host=NAME or .DOMAIN   prefix=URI   regex=POSIX, iregex=the same whatever the case   tag=TAG

interface Purged {
  /** Stored responses, variants counted each. */
  readonly purged: number
  readonly stopped: boolean
}

export interface PurgeSource {
  /** As they are at that moment: a reload may bring another store. */
  readonly parts: () => PurgeParts
  /** Keys under which the responses to that URI are stored. */
  readonly keysOfUri: (uri: string) => readonly CacheKey[]
  readonly log: DebugLog
}

/** At a time: each walks through all that is stored. */
const walksMax = 4
/** Walks of one request. */
const selectionsMax = 100

export const purgePage = ({ parts, keysOfUri, log }: PurgeSource): Page<Purged> & { stop(): void } => {
  let walks = 0
  let stopped = false
  return {
    name: 'purge',
    doc: 'Purge stored responses: uri= host= prefix= regex= tag=',
    protection: 'protected',
    effect: 'changes',
    async answer(args) {
      const wish = read(args)
      if ('ok' in wish) return wish
      if (wish.selections.length > 0 && walks >= walksMax) return refusedPage(503, `${walks} purges are under way: try again when one is done`)
      walks++
      let purged = 0
      try {
        for (const uri of wish.uris) for (const key of keysOfUri(uri)) purged += purgeKey(parts(), key)
        for (const selection of wish.selections) purged += await purgeSelected(parts(), selection, () => !stopped)
      } finally {
        walks--
      }
      CountHttp.purged += purged
      log.write('manager', 1, `purged ${purged} stored responses: ${args.toString().slice(0, 200)}`)
      return { ok: true, value: { purged, stopped } }
    },
    // what lies on a disk they share is counted by whoever came first
    together: all => ({ purged: all.reduce((sum, one) => sum + one.purged, 0), stopped: all.some(one => one.stopped) }),
    text: ({ purged, stopped: cut }) => `purged ${purged}${cut ? ' and then stopped: the proxy ends' : ''}\n`,
    stop: () => {
      stopped = true
    },
  }
}

interface PurgeWish {
  readonly uris: readonly string[]
  readonly selections: readonly Selection[]
}

const read = (args: Arguments): PurgeWish | PageRefusal => {
  const uris: string[] = []
  const selections: Selection[] = []
  for (const [name, value] of args) {
    if (name === 'format') continue
    if (value === '') return refusedPage(400, `${name} is empty`)
    if (name === 'uri') {
      const target = parseAbsolute(value)
      if (target === null) return refusedPage(400, `'${value}' is no absolute URI`)
      uris.push(uriText(target.scheme, target.host, target.port, target.path))
      continue
    }
    const selection = selectionOf(name, value)
    if ('ok' in selection) return selection
    selections.push(selection)
  }
  if (uris.length + selections.length === 0) return refusedPage(400, 'say what: uri=, host=, prefix=, regex=, iregex= or tag=')
  if (selections.length > selectionsMax) return refusedPage(400, `more than ${selectionsMax} walks through the cache at once`)
  return { uris, selections }
}

/** What one argument means; the names are those of the command's options. */
export const selectionOf = (name: string, value: string): Selection | PageRefusal => {
  switch (name) {
    case 'host':
      return byHost(value)
    case 'prefix':
      return byPrefix(value)
    case 'tag':
      return byTag(value)
    case 'regex':
    case 'iregex': {
      const compiled = compilePosixRegex(value, name === 'iregex')
      return compiled.ok ? byPattern(uri => compiled.matches(uri)) : refusedPage(400, `${name}: ${compiled.message}`)
    }
    default:
      return refusedPage(400, `there is no '${name}': say host=, prefix=, regex=, iregex= or tag=`)
  }
}

/** The URI itself, and what any store_id_rule makes of it, whoever asks. */
export const possibleKeys = (uri: string, rules: HttpPolicy['storeIds']): readonly CacheKey[] => {
  const ids = rules.map(({ value }) => value.idOf(uri)).filter(id => id !== null)
  return [uri, ...ids].flatMap(each => keysOf(each))
}
