import { type Seconds, seconds } from '../../base/index.ts'
import type { RefreshOptions, RefreshPattern, StoreIdRule } from '../config.ts'
import type { Line, Word } from '../line.ts'
import { nearest } from '../nearest.ts'
import { readPercent } from '../values.ts'
import { accessList, valueList } from './access.ts'
import { works } from './directive.ts'
import { age, lines, onOff } from './kinds.ts'

// refresh_pattern [-i] REGEX MIN PERCENT MAX [options]: MIN and MAX in minutes, the options' numbers in seconds.

const yearMinutes = 525_600

type Flags = Exclude<keyof RefreshOptions, 'maxStale' | 'staleWhileRevalidate' | 'negativeTtl'>
type Numbers = Exclude<keyof RefreshOptions, Flags>
type Building = { -readonly [K in keyof RefreshOptions]: RefreshOptions[K] }

const flags: Readonly<Record<string, Flags>> = {
  'override-expire': 'overrideExpire',
  'override-lastmod': 'overrideLastmod',
  'reload-into-ims': 'reloadIntoIms',
  'ignore-reload': 'ignoreReload',
  'ignore-no-store': 'ignoreNoStore',
  'ignore-private': 'ignorePrivate',
  'refresh-ims': 'refreshIms',
  'store-stale': 'storeStale',
  'ignore-stale-while-revalidate': 'ignoreStaleWhileRevalidate',
}

const numbers: Readonly<Record<string, Numbers>> = {
  'max-stale': 'maxStale',
  'stale-while-revalidate': 'staleWhileRevalidate',
  'negative-ttl': 'negativeTtl',
}

/** Squid dropped them when the rules of HTTP/1.1 made them needless. */
const obsolete: readonly string[] = ['ignore-no-cache', 'ignore-must-revalidate', 'ignore-auth']

const readPattern = (line: Line): RefreshPattern | undefined => {
  let caseInsensitive = false
  let regex = line.regex()
  while (regex !== null && (regex.text === '-i' || regex.text === '+i')) {
    caseInsensitive = regex.text === '-i'
    regex = line.regex()
  }
  const [min, percent, max] = [line.next(), line.next(), line.next()]
  if (regex === null || min === null || percent === null || max === null) {
    if (!line.scope.quotedValues)
      line.fatal(`${line.name} needs REGEX MIN PERCENT MAX`, null, 'for example: refresh_pattern . 0 20% 4320')
    return undefined
  }
  const minTime = readMinutes(line, min, 'MIN')
  const share = readPercent(percent.text)
  if (!share.ok) line.fatal(`${line.name}: ${share.message}`, percent, share.hint)
  const maxTime = readMinutes(line, max, 'MAX')
  const options = readOptions(line)
  if (minTime === undefined || maxTime === undefined || !share.ok) return undefined
  if (maxTime < minTime) {
    line.warning(`${line.name}: MAX is less than MIN`, max, 'nothing older than MAX is fresh, whatever MIN says')
  }
  return {
    regex: regex.text,
    caseInsensitive,
    min: minTime,
    percent: share.value,
    max: maxTime,
    options,
    text: line.read,
    at: line.at(),
  }
}

const readMinutes = (line: Line, word: Word, which: string): Seconds | undefined => {
  if (!/^\d{1,12}$/.test(word.text)) {
    line.fatal(
      `${line.name}: expecting ${which} as a number of minutes, got '${word.text}'`,
      word,
      /^\d+[a-z]+$/i.test(word.text) ? 'without a unit' : '',
    )
    return undefined
  }
  const minutes = Number(word.text)
  if (minutes <= yearMinutes) return seconds(minutes * 60)
  line.warning(`${line.name}: ${which} ${minutes} is more than a year, cropped to ${yearMinutes}`, word)
  return seconds(yearMinutes * 60)
}

const readOptions = (line: Line): RefreshOptions => {
  const options: Building = {
    overrideExpire: false,
    overrideLastmod: false,
    reloadIntoIms: false,
    ignoreReload: false,
    ignoreNoStore: false,
    ignorePrivate: false,
    refreshIms: false,
    storeStale: false,
    ignoreStaleWhileRevalidate: false,
    maxStale: null,
    staleWhileRevalidate: null,
    negativeTtl: null,
  }
  for (let word = line.next(); word !== null; word = line.next()) readOption(line, word, options)
  return options
}

const readOption = (line: Line, word: Word, options: Building): void => {
  const flag = Object.hasOwn(flags, word.text) ? flags[word.text] : undefined
  if (flag !== undefined) {
    options[flag] = true
    return
  }
  const equals = word.text.indexOf('=')
  const name = equals < 0 ? word.text : word.text.slice(0, equals)
  const number = Object.hasOwn(numbers, name) ? numbers[name] : undefined
  if (number !== undefined) {
    const value = word.text.slice(equals + 1)
    if (equals > 0 && /^\d{1,9}$/.test(value)) options[number] = seconds(Number(value))
    else line.fatal(`${line.name}: ${name} needs a number of seconds, got '${word.text}'`, word, `write ${name}=3600`)
  } else if (obsolete.includes(word.text)) {
    line.note(`${line.name} option '${word.text}' is obsolete. Remove it.`, word)
  } else {
    const like = nearest(name, [...Object.keys(flags), ...Object.keys(numbers)])
    line.warning(
      `Unknown refresh_pattern option: ${word.text}`,
      word,
      like === null ? 'it is ignored' : `did you mean ${like}?`,
    )
  }
}

const readStoreIdRule = (line: Line): StoreIdRule | undefined => {
  let caseInsensitive = false
  let regex = line.regex()
  while (regex !== null && (regex.text === '-i' || regex.text === '+i')) {
    caseInsensitive = regex.text === '-i'
    regex = line.regex()
  }
  const replacement = line.next()
  if (regex === null || replacement === null) {
    line.fatal(`${line.name} needs REGEX REPLACEMENT`, null, 'for example: store_id_rule ^http://[a-z]+\\.x\\.org/(.*)$ http://x.internal/$1')
    return undefined
  }
  if (!/^[a-z]+:\/\/[a-z0-9]/i.test(replacement.text)) {
    line.fatal(`${line.name}: '${replacement.text}' is no absolute URI`, replacement, 'write one of your choice, such as http://x.internal/$1')
    return undefined
  }
  if (!/^\(*\^/.test(regex.text)) {
    line.warning(`${line.name}: without ^ the regex matches URIs of other sites that hold such a text`, regex, 'begin it with ^http://')
  }
  return { regex: regex.text, caseInsensitive, replacement: replacement.text }
}

const storeIdRules = valueList('[-i] REGEX REPLACEMENT', 'fast', readStoreIdRule)

export const refreshDirectives = {
  refresh_pattern: works(
    lines('[-i] REGEX MIN PERCENT% MAX [options]', readPattern, 'MIN and MAX in minutes, at most a year'),
    `How long a stored response without an explicit lifetime is fresh. The first line whose regex matches the URI counts:
fresh while younger than PERCENT of its age when it came (by Last-Modified), never when older than MAX, and without
Last-Modified while younger than MIN. No line matches: 0 20% 4320. With no line at all the same holds.

Options bend the rules of HTTP; know why you use one: override-expire, override-lastmod (MIN holds even against an
explicit lifetime, or Last-Modified), reload-into-ims, ignore-reload (what a browser's reload button may do),
ignore-no-store, ignore-private, refresh-ims, store-stale, max-stale=SECONDS, stale-while-revalidate=SECONDS,
ignore-stale-while-revalidate, negative-ttl=SECONDS.`,
    {
      example:
        'refresh_pattern -i \\.(deb|rpm)$ 10080 100% 43200\nrefresh_pattern -i (/cgi-bin/|\\?) 0 0% 0\nrefresh_pattern . 0 20% 4320',
    },
  ),
  store_id_rule: works(
    storeIdRules,
    `Gives all URIs that match the POSIX regex (with -i whatever the case) one key: what several mirrors or a site with
tokens in its URIs deliver is stored once. REPLACEMENT, with $1 to $9 for what the groups of the regex found and $0 for
all of it, is the whole key, an absolute URI of your choice such as http://dl.internal/$1; refresh_pattern sees it, the
origin is still asked for the URI. The first line that matches counts; its ACLs cannot wait. Begin the regex with ^ and
write the dots of hosts as \\., or other sites can bring what is then given to everybody. A request whose Host could not
be verified never shares a key. What was stored under a URI is not found any more when a line begins to match it. Not a
directive of Squid, whose store_id_program asks a helper.`,
    { example: 'store_id_rule ^http://[a-z0-9]+\\.mirror\\.example/(.*)$ http://mirror.internal/$1' },
  ),
  cache: works(
    accessList('slow'),
    'Which requests may be answered from the cache and stored in it. A denied one is passed through.',
    { aliases: ['no_cache'], default: 'allow all', example: 'acl dynamic urlpath_regex ^/api/\ncache deny dynamic' },
  ),
  negative_ttl: works(
    age(),
    `How long error responses (204, 305, 400, 403, 404, 405, 414, 421, 500 to 504) are fresh that say nothing about it
themselves. With 0 there is no such rule: errors that do say are kept all the same, and 404, 405, 410, 414 and 501 count
as other responses do (refresh_pattern). negative-ttl= of a refresh_pattern goes before it.`,
    { default: '0 seconds' },
  ),
  max_stale: works(age(), 'How stale a stored response may be served when its origin cannot be asked.', {
    default: '1 week',
  }),
  reload_into_ims: works(
    onOff(),
    'A reload by the user validates the stored response instead of fetching it anew. Breaks HTTP in favour of bandwidth.',
    { default: 'off' },
  ),
  collapsed_forwarding: works(
    onOff(),
    'Requests for the same thing that arrive while it is being fetched wait for that one fetch.',
    { default: 'off' },
  ),
  collapsed_forwarding_access: works(accessList('fast'), 'Which requests may share a fetch with others (collapsed_forwarding).', {
    default: 'allow all',
  }),
  send_hit: works(
    accessList('fast'),
    `Which stored responses may be served. Unlike "cache" it sees the response: its status, its fields. What it denies is
fetched anew, as if it were not stored, and what comes takes its place.`,
    { default: 'allow all', example: 'acl pictures rep_mime_type ^image/\nsend_hit deny pictures' },
  ),
  store_miss: works(
    accessList('fast'),
    'Which responses may be stored; it sees the response, as send_hit does. What is stored already may still be used.',
    { default: 'allow all', example: 'acl small rep_header Content-Length ^[0-9]{1,3}$\nstore_miss deny small' },
  ),
  minimum_expiry_time: works(
    age(),
    `A response that will be stale sooner than this is only stored if it has a validator (ETag or Last-Modified). Squid's
default is 60 seconds, and means little there: to it the Date is a validator of whatever is not empty.`,
    { default: '0 seconds' },
  ),
  refresh_all_ims: works(onOff(), 'Conditional requests of clients always ask the origin.', { default: 'off' }),
  offline_mode: works(
    onOff(),
    `Never validate anything that is stored: what is stale, even what says no-cache or must-revalidate, is used as it is.
Misses and reloads still go to the origin. For a line that is down, not for every day.`,
    { default: 'off' },
  ),
  vary_ignore_expire: works(
    onOff(),
    `Some old servers give what has a Vary an Expires that is its Date, against caches that do not know Vary. "on" does not
look at such an Expires: freshness then is by Last-Modified or refresh_pattern. Cache-Control counts as ever.`,
    { default: 'off' },
  ),
  cache_miss_revalidate: works(
    onOff(),
    `Where nothing is stored, the conditions of a client (If-None-Match, If-Modified-Since) go to the origin, whose 304 is
nothing to store. "off" keeps them here and fetches the whole, which fills a cache sooner; a client whose condition then
holds still gets its 304. Requests with Authorization keep their conditions.`,
    { default: 'on' },
  ),
}
