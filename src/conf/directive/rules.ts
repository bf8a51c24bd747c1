import { ms } from '../../base/index.ts'
import type { AclUse, AclValue, DetectorConfig, NamedLine, NameUse, NatPolicyConfig, RuleConfig, ZoneConfig } from '../config.ts'
import type { Line, Word } from '../line.ts'
import { FileValue, readListFile } from '../list-file.ts'
import { nearest } from '../nearest.ts'
import { works } from './directive.ts'
import { lines } from './kinds.ts'
import { named, readChoice, readName, refused } from './named.ts'
import {
  choiceOption, nameOption, numberOption, onOffOption, type Option, type OptionReader, readOptions, timeOption,
} from './options.ts'

// Which service a connection gets, and what rules speak of: zone, rule, detector, nat_policy. What networks and ports
// mean is read where they are compiled (acl/zone, dispatch/rule, chainer/nat).

type Writable<T> = { -readonly [K in keyof T]: T[K] }

/** `name=value` of the words given, or null: then it is something else. */
const optionOf = (word: Word, known: readonly string[]): Option | null => {
  const equals = word.text.indexOf('=')
  if (equals < 0 || !known.includes(word.text.slice(0, equals))) return null
  return { name: word.text.slice(0, equals), value: word.text.slice(equals + 1), word }
}

/** A word that looks like an option and is none of those known. */
const unknownOption = (line: Line, word: Word, known: readonly string[]): void => {
  const names = known.map(name => `${name}=`)
  const like = nearest(word.text.slice(0, word.text.indexOf('=') + 1), names)
  line.fatal(`${line.name}: unknown option '${word.text}'`, word, like === null ? `options are ${names.join(', ')}` : `did you mean ${like}?`)
}

const needsValue = (line: Line, { name, value, word }: Option): boolean => {
  if (value !== '') return true
  line.fatal(`${line.name}: option '${name}' needs a value`, word, `write ${name}=...`)
  return false
}

// --- zone ---

const zoneOptions = ['parent', 'umbrella', 'inbound', 'outbound'] as const

const zoneLine = (line: Line): ZoneConfig | undefined => {
  const name = readName(line, 'NAME [options] ADDRESS ...')
  if (name === undefined) return undefined
  const uses: NameUse[] = []
  const addresses: Pick<AclValue, 'text' | 'at'>[] = []
  const into: Writable<Omit<ZoneConfig, keyof NamedLine | 'addresses'>> = { parent: null, umbrella: false, inbound: null, outbound: null }
  for (let word = line.listed(false); word !== null; word = line.listed(false)) {
    const option = optionOf(word, zoneOptions)
    if (word.isFile) {
      readListFile(line, word, 'a zone without its list would be empty', (text, list, number) => {
        addresses.push(new FileValue(text, false, list, number))
      })
    } else if (option !== null) zoneOption(line, option, into, uses)
    else if (/^[a-z_]+=/i.test(word.text)) unknownOption(line, word, zoneOptions)
    else addresses.push({ text: word.text, at: line.at(word) })
  }
  return { ...named(line, name, uses), ...into, addresses }
}

const zoneOption = (
  line: Line,
  option: Option,
  into: Writable<Omit<ZoneConfig, keyof NamedLine | 'addresses'>>,
  uses: NameUse[],
): void => {
  if (!needsValue(line, option)) return
  if (option.name === 'parent') into.parent = nameOption('zone', uses)(line, option) ?? null
  else if (option.name === 'umbrella') into.umbrella = onOffOption(line, option) ?? false
  else into[option.name === 'inbound' ? 'inbound' : 'outbound'] = serviceNames(line, option, uses)
}

/** Services, or `*`. */
const serviceNames = (line: Line, { value, word }: Option, uses: NameUse[]): string[] => {
  const names = value.split(',').filter(name => name !== '')
  for (const name of names) if (name !== '*') uses.push({ kind: 'service', name, at: line.at(word) })
  return names
}

// --- nat_policy ---

const natKinds = ['general', 'static', 'one_to_one', 'one_to_one_multi', 'random', 'hash', 'nat64', 'nat46', 'forge_client'] as const

const natOptions = ['cache', 'default'] as const

const natLine = (line: Line): NatPolicyConfig | undefined => {
  const name = readName(line, 'NAME KIND ...')
  const kind = name === undefined ? undefined : readChoice(line, 'kind of NAT policy', natKinds)
  if (name === undefined || kind === undefined) return undefined
  const words: Pick<AclValue, 'text' | 'at'>[] = []
  const into: Writable<Pick<NatPolicyConfig, 'cache' | 'otherwise'>> = { cache: null, otherwise: null }
  for (let word = line.next(); word !== null; word = line.next()) {
    const option = optionOf(word, natOptions)
    if (option === null) {
      if (/^[a-z_]+=/i.test(word.text)) unknownOption(line, word, natOptions)
      else words.push({ text: word.text, at: line.at(word) })
    } else if (needsValue(line, option)) {
      if (option.name === 'cache') into.cache = onOffOption(line, option) ?? null
      else into.otherwise = choiceOption('reject', 'accept')(line, option) ?? null
    }
  }
  return { ...named(line, name, []), kind, words, ...into }
}

// --- detector ---

const detectorLine = (line: Line): DetectorConfig | undefined => {
  const name = readName(line, 'NAME KIND')
  const kind = name === undefined ? undefined : readChoice(line, 'kind of detector', ['http', 'ssh', 'tls'] as const)
  if (name === undefined || kind === undefined) return undefined
  const into: Writable<Pick<DetectorConfig, 'sni' | 'timeout'>> = { sni: [], timeout: ms(5000) }
  readOptions(line, into, {
    timeout: { name: 'timeout', read: timeOption('refused') },
    ...(kind === 'tls' ? { sni: { name: 'sni', read: domains } } : undefined),
  })
  return { ...named(line, name, []), kind, ...into }
}

const domains: OptionReader<readonly string[]> = (line, { value, word }) => {
  const names = value.toLowerCase().split(',').filter(name => name !== '')
  const wrong = names.find(name => !/^\.?[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?$/.test(name))
  return wrong === undefined ? names : refused(line, word, `'${wrong}' is no domain`, 'write example.org, or .example.org with all below it')
}

// --- rule ---

type RuleParts = Writable<Omit<RuleConfig, 'service' | 'uses' | 'text' | 'at'>> & { service: string | null }

const ruleLine = (line: Line): RuleConfig | undefined => {
  const uses: NameUse[] = []
  const into: RuleParts = {
    id: null, proto: [], src: [], dst: [], srcZone: [], dstZone: [], srcIface: [], srcGroup: [], dstIface: [], dstGroup: [],
    srcPort: [], dstPort: [], acl: [], detect: [], service: null,
  }
  readOptions<RuleParts>(line, into, {
    id: { name: 'id', read: numberOption(1, 0x7fffffff) },
    proto: { name: 'proto', read: protocols },
    src: { name: 'src', read: values },
    dst: { name: 'dst', read: values },
    srcZone: { name: 'src_zone', read: zones(uses) },
    dstZone: { name: 'dst_zone', read: zones(uses) },
    srcIface: { name: 'src_iface', read: values },
    srcGroup: { name: 'src_group', read: values },
    dstIface: { name: 'dst_iface', read: values },
    dstGroup: { name: 'dst_group', read: values },
    srcPort: { name: 'src_port', read: values },
    dstPort: { name: 'dst_port', read: values },
    acl: { name: 'acl', read: conditions },
    detect: { name: 'detect', read: detections(uses) },
    service: { name: 'service', read: nameOption('service', uses) },
  })
  const { service, ...rest } = into
  if (service === null) return refused(line, null, 'needs service=NAME')
  return { ...rest, service, uses, text: line.read, at: line.at() }
}

const partsOf = (value: string): string[] => value.split(',').filter(part => part !== '')

const values: OptionReader<readonly Pick<AclValue, 'text' | 'at'>[]> = (line, { value, word }) =>
  partsOf(value).map(text => ({ text, at: line.at(word) }))

const protocols: OptionReader<readonly ('tcp' | 'udp')[]> = (line, { name, value, word }) => {
  const found: ('tcp' | 'udp')[] = []
  for (const part of partsOf(value)) {
    if (part !== 'tcp' && part !== 'udp') return refused(line, word, `${name} is tcp or udp, got '${part}'`)
    found.push(part)
  }
  return found
}

const zones =
  (uses: NameUse[]): OptionReader<readonly Pick<AclValue, 'text' | 'at'>[]> =>
  (line, option) => {
    const found = values(line, option) ?? []
    for (const { text, at } of found) uses.push({ kind: 'zone', name: text, at })
    return found
  }

/** Types that know all they look at before anything has been read from a connection. */
const early: ReadonlySet<string> = new Set([
  'src', 'dst', 'localip', 'localport', 'port', 'myportname', 'time', 'random', 'src_zone', 'dst_zone', 'any-of', 'all-of',
])

const conditions: OptionReader<readonly AclUse[]> = (line, { value, word }) =>
  partsOf(value).map(text => {
    const use = line.scope.acls.use({ ...word, text }, line)
    const type = line.scope.acls.definition(use.name)?.type
    if (type !== undefined && !early.has(type)) {
      line.warning(
        `${line.name}: ACL '${use.name}' (${type}) looks at requests, and a rule is decided before there is one: it does not match`,
        word,
        'rules can ask src, dst, localport, myportname, src_zone, dst_zone, time and random',
      )
    }
    return use
  })

const detections =
  (uses: NameUse[]): OptionReader<RuleConfig['detect']> =>
  (line, { name, value, word }) => {
    const found: { readonly detector: string; readonly service: string }[] = []
    for (const part of partsOf(value)) {
      const [detector = '', service = ''] = part.split(':')
      if (detector === '' || service === '') return refused(line, word, `${name} is DETECTOR:SERVICE,..., got '${part}'`)
      uses.push({ kind: 'detector', name: detector, at: line.at(word) }, { kind: 'service', name: service, at: line.at(word) })
      found.push({ detector, service })
    }
    return found
  }

// --- the table ---

export const ruleDirectives = {
  zone: works(
    lines('NAME [parent=ZONE] [umbrella=on] [inbound=SERVICE,...|*] [outbound=SERVICE,...|*] ADDRESS|"FILE" ...', zoneLine),
    `A named set of addresses, for rules, for the ACL types src_zone and dst_zone and for limit_target_zones. ADDRESS is an
address, a network (10.0.0.0/8, 2001:db8::/32) or host:NAME, which follows the name's DNS records as they run out;
"FILE" in quotes holds such values, one per line. Lines of one name add up. An address is in the zone whose network is
the longest that holds it; the same network in two zones is an error. While names of two zones share an address, it is
in neither.

parent=ZONE: who administers it. What is said of a zone holds for those below it, whatever their addresses. At most 31
levels.

inbound and outbound: the services by which servers in the zone may be reached, and those its clients may use, together
with those of its parents. umbrella=on: it takes none over from its parents. As soon as one zone says inbound= (or
outbound=), what no zone names for that direction is refused, addresses without a zone included.`,
    {
      reload: 'new connections',
      example: 'zone internet 0.0.0.0/0 ::/0\nzone site 10.0.0.0/8\nzone dmz parent=site 10.9.0.0/24 host:mail.example.org',
    },
  ),
  rule: works(
    lines('[id=N] [proto=tcp|udp] [src=NET,...] [dst=NET,...] [src_zone=...] [dst_zone=...] [src_iface=...] [src_group=...] [dst_iface=...] [dst_group=...] [src_port=...] [dst_port=80,1000-2000] [acl=NAME,!NAME] [detect=DETECTOR:SERVICE,...] service=NAME', ruleLine),
    `Which service a connection gets that came to a listener or receiver with "rules". The order of the lines does not
matter: of the rules that match, the one that says most decides. What a rule does not say matches everything. Values with
commas between them are alternatives, and so are src and src_zone, src_iface and src_group, and the four that begin with
dst_; everything else must match as well.

What says more is compared in this order: the interface it came in by (more than its group); proto; src_port, then
dst_port (a port more than a range); the source (a longer network more than a shorter one, any network more than a zone,
a deeper zone more than one above it); the destination (the same, and between networks and zones the interface that has
the address, dst_iface, more than its group, dst_group); last, whether there is an acl.

Of two that say the same the lower id decides (ids that are not given are the next free numbers); such pairs are told of
when the conf is read. If no rule matches, the connection is closed. "glassquid explain --tuple" tells which one decides.

By which interface a flow of datagrams came its first one tells; without the addon nothing does, and rules with src_iface
or src_group do not match.

acl=NAME,!NAME: all of these ACLs must match. detect=DETECTOR:SERVICE,...: the first of these detectors that knows what
the client or the server says gives the service, service= is for what none of them knows.`,
    {
      reload: 'new connections',
      example: 'zone site 10.0.0.0/8\nservice everything plug\nservice nobody deny\ndetector web http\nrule dst_port=22,25 src_zone=site service=everything\nrule dst_port=443 detect=web:nobody service=everything\nrule service=nobody',
    },
  ),
  detector: works(
    lines('NAME http|ssh|tls [sni=DOMAIN,...] [timeout=TIME]', detectorLine),
    `What a connection speaks, by its first bytes. http: a request line. tls: a client hello; with sni=DOMAIN,... only for
these names (.example.org is that name and all below it). ssh: the greeting of the client, which usual ones send at once;
one that waits for the server's is not known by it.

timeout=TIME is how long a client may take, 5 seconds unless said; the longest of a rule's detectors counts. Silence,
and bytes that none of them knows, give the rule's service=, and so do datagrams. Nothing that was looked at is lost.`,
    { reload: 'new connections', example: 'detector web http\ndetector bank tls sni=.bank.example timeout=3s' },
  ),
  nat_policy: works(
    lines('NAME KIND ... [cache=on|off] [default=reject|accept]', natLine),
    `Other addresses for connections to servers; snat= and dnat= of a service name it. Both look at the source and the
target as the router gave them. Lines of one name add mappings, in their order.

general FROM-NET TO-NET NEW-NET: what goes from FROM-NET to TO-NET ("all" is everything) moves into NEW-NET, the host
part kept. static ADDRESS[:PORT]: always this one. one_to_one FROM-NET TO-NET: nets of one size. one_to_one_multi: the
same, in several lines. random ADDRESS ...: any of them. hash ADDRESS=ADDRESS ...: a table. nat64 [PREFIX/LENGTH] and
nat46 [PREFIX/LENGTH]: RFC 6052; 64:ff9b::/96 unless said. forge_client: the client's own address (snat).

default= says what becomes of an address that no line maps: accept leaves it as it is, reject refuses the connection
(unless said: reject for one_to_one, one_to_one_multi and hash). cache=off lets random choose anew for every connection;
otherwise a client keeps its address towards a server, as long as it is among the last 16,000 pairs or so.`,
    {
      reload: 'new connections',
      example: 'nat_policy inside general 10.0.0.0/8 all 203.0.113.0/24\nnat_policy balance random 192.0.2.11 192.0.2.12\nservice web plug snat=inside dnat=balance',
    },
  ),
}
