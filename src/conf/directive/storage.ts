import { bytes, kib } from '../../base/index.ts'
import { valueList } from './access.ts'
import { cacheDirs } from './cache-dir.ts'
import { accepted, later, works } from './directive.ts'
import { choice, count, kept, onOff, percent, size, word } from './kinds.ts'
import { removalPolicy } from './removal-policy.ts'

export const storageDirectives = {
  cache_mem: works(
    size(),
    `How much memory stored responses may take, counted in real bytes. Other memory of the process comes on top. 0 switches
the memory cache off.`,
    { default: '256 MB', example: 'cache_mem 1 GB' },
  ),
  maximum_object_size_in_memory: works(size(), 'Larger responses are not kept in memory.', { default: '512 KB' }),
  maximum_object_size: works(
    size({ unlimited: ['none'] }),
    `Larger responses are not written to disk, unless the cache_dir has a max-size= of its own. It holds wherever in the
file it stands.`,
    { default: '4 MB' },
  ),
  memory_cache_mode: works(
    choice(['always', 'disk', 'network', 'never']),
    `Which responses are kept in memory where there is a cache_dir: those read from it ("disk"), those fetched ("network"),
both, or none. Without a cache_dir memory is all there is. Where memory is full, what is read from a cache_dir is kept when
it is asked for a second time within about as many others as memory holds.`,
    { default: 'always' },
  ),
  memory_cache_shared: accepted(
    onOff(),
    `Each worker has memory of its own, and hears of what others change. What they share is a cache_dir: what one has fetched,
all find there, and the system keeps its files in memory once for all.`,
    { default: 'on' },
  ),
  memory_replacement_policy: works(
    removalPolicy,
    `Which response leaves memory first when there is no room. "lru": the one used longest ago; "heap LRU" is the same
order. "heap LFUDA": the one used least often, whatever its size, which serves the most bytes from memory. "heap GDSF":
the one used least often for its size, which serves the most requests. Both let what was popular once grow old. They are
kept exactly, not by samples, and a use costs no more than with lru. A change by a reload starts from the order and the
numbers of uses there are.`,
    { default: 'lru', example: 'memory_replacement_policy heap GDSF' },
  ),
  cache_replacement_policy: works(
    removalPolicy,
    `Which response leaves a cache_dir first when there is no room; the words are those of memory_replacement_policy. It
holds for all of them, wherever in the file it stands. What memory has and has been using is spared when its turn comes.
With "lru" only uses of what is in the older half of the order are written down; with the others each use is, a little
later, which costs some 10 microseconds of every hit on disk. After a change what is there goes before what is stored or
used from then on.`,
    { default: 'lru', example: 'cache_replacement_policy heap LFUDA', reload: 'restart' },
  ),
  minimum_object_size: works(size(), 'Smaller responses are not written to disk.', { default: '0 KB' }),
  cache_dir: works(
    cacheDirs,
    `A directory of stored responses, and how much it may take on disk in all. Without one (or with "cache_dir null")
responses live in memory alone. It is made where it is missing, at the start and by -z. Squid's types all mean our one
way of storing (ufs, aufs, diskd, rock), which reads no cache of Squid's: a directory that holds one is refused. L1, L2
and options of Squid's layouts count for nothing; min-size=BYTES, max-size=BYTES and read-only (nothing new is stored)
do.

What fits memory is in both; what is read from disk often rises into memory. Whatever happens to the process or the
disk, a response is there whole or not at all: a damaged index is set aside with a line in cache.log, and while the disk
is full or fails nothing is written to it and everything else goes on.

Several lines are several directories, on disks of their own or with bounds of their own; where a response goes says
store_dir_select_algorithm. One that fails, or cannot be opened, does not disturb the others. A reload changes sizes, opens
what is new and closes what is not named any more; what lies there stays, and is found again when it is named again.

Several glassquid processes that see each other (one machine, one PID namespace: containers need a directory each) may name
the same one; its size is for all of them together. Once one has answered an unsafe request, a purge, or has stored a newer
response, no other answers a later request with what was there before, neither from its memory nor from the disk.`,
    { example: 'cache_dir ufs /var/cache/glassquid 10000' },
  ),
  store_dir_select_algorithm: works(
    choice(['least-load', 'round-robin']),
    `Which cache_dir takes a response, of those whose bounds it keeps to and that are well: the one with the largest share of
its room free, or one after the other. What is too large for memory and does not say its length beforehand goes where
max-size= allows it while it grows.`,
    { default: 'least-load' },
  ),
  cache_tags: works(
    choice(['keep', 'strip', 'off']),
    `What becomes of Surrogate-Key and Cache-Tag, by which origins name kinds of responses so that "glassquid purge --tag" can
purge them together. "keep" stores the tags and passes the fields on, "strip" stores them and hides the fields from
clients, "off" takes them for fields like others. A response with more than 1000 tags, or 16 KB of them, is not stored.
What is stored already stays as it is. Not a directive of Squid.`,
    { default: 'keep' },
  ),
  cdn_cache_control: works(
    onOff(),
    `On accel ports, CDN-Cache-Control of origins is for this cache (RFC 9213): where it can be read it alone decides, and
Cache-Control and Expires are for those behind it. On other ports it is never looked at: they are nobody's CDN. What
serves the same URIs by accel ports and others shares what is stored. Not a directive of Squid.`,
    { default: 'off' },
  ),
  cache_set_cookie: works(
    choice(['strip', 'refuse', 'replay']),
    `Set-Cookie in a response that may be stored. "strip", as Squid: the client it was fetched for gets it, hits are without
it, so nobody gets the cookie of another. "refuse": such a response is not stored. "replay": everybody gets it, which is
what RFC 9111 says of an origin that allows storing, and what some origins do not mean. Not a directive of Squid.`,
    { default: 'strip' },
  ),
  cache_swap_low: works(percent(), 'Removal from a cache_dir that is nearly full stops at this share of its size.', {
    default: '90',
  }),
  cache_swap_high: works(
    percent(),
    'From this share of its size on, what was used longest ago is removed from a cache_dir, in small steps.',
    { default: '95' },
  ),
  cache_swap_state: accepted(word('PATH'), 'The index of a cache_dir lies in it, and belongs to it.', { aliases: ['cache_swap_log'] }),
  paranoid_hit_validation: accepted(
    kept('TIME'),
    'What lies in the index has a checksum, which is looked at whenever it is read; files are looked at when they are opened, and their length is.',
    { default: '0' },
  ),
  shared_transient_entries_limit: accepted(count(), 'Workers do not share fetches: each collapses its own.', {
    aliases: ['collapsed_forwarding_shared_entries_limit'],
    default: '16384',
  }),
  quick_abort_min: works(
    size({ unit: kib(1), unlimited: ['-1'] }),
    `What becomes of a fetch whose clients have all left, and whose response is to be stored: it is finished if less than
this remains, and stopped if more than quick_abort_max remains; between the two quick_abort_pct decides. A length that is
not known stops it, -1 finishes everything. What a stopped fetch has brought is kept as a part and completed when it is
asked for again, if the origin gave it a strong validator and a length.`,
    { default: '16 KB', example: 'quick_abort_min -1 KB' },
  ),
  quick_abort_max: works(
    size({ unit: kib(1) }),
    'A fetch whose clients have left is stopped if more than this remains (unless quick_abort_min finishes it).',
    { default: '16 KB' },
  ),
  quick_abort_pct: works(
    percent(),
    'A fetch whose clients have left is finished if more than this share is there, where min and max leave it open.',
    { default: '95' },
  ),
  range_offset_limit: works(
    valueList('SIZE|none', 'fast', line => size({ unlimited: ['none', '-1'] }).read(line, bytes(0))),
    `A client's Range that begins within this many bytes is fetched as the whole, so that it can be stored whole; the
client gets its range out of that. Others go to the origin as they are, and the part that comes back is stored as a part.
The first line whose ACLs match counts, without one it is 0: every range goes as it is. "none" fetches the whole for any
range, also for the last bytes of a file, and then the fetch is finished whatever quick_abort_* say: good for updates of
Windows and games, a waste for films. Requests a "cache deny" keeps from the cache keep their range, too.`,
    { example: 'acl updates dstdomain .windowsupdate.com\nrange_offset_limit none updates' },
  ),
  read_ahead_gap: works(
    size(),
    `How far a fetch may run ahead of its client. Of several clients of one fetch the fastest counts: a slow one never holds
the others, it reads from what is stored (or, where nothing is stored, is cut off after a minute in which it held them).`,
    { default: '16 KB' },
  ),
  digest_generation: later(onOff(), 'Makes a digest of the cache for peers.', { default: 'on', family: 'digests', off: 'off' }),
  digest_bits_per_entry: later(count(), 'Bits per object in the digest.', { default: '5', family: 'digests' }),
  digest_rebuild_period: later(kept('TIME'), 'How often the digest is made anew.', { default: '1 hour', family: 'digests' }),
  digest_rewrite_period: later(kept('TIME'), 'How often the digest is written.', { default: '1 hour', family: 'digests' }),
  digest_swapout_chunk_size: later(size(), 'Bytes of the digest written at once.', { default: '4096 bytes', family: 'digests' }),
  digest_rebuild_chunk_percentage: later(percent(), 'Share of the cache looked at in one go for the digest.', {
    default: '10',
    family: 'digests',
  }),
  high_memory_warning: works(
    size(),
    'A warning in cache.log, once a minute, while a process takes more memory than this (resident, all of it). 0: none.',
    { default: '0 KB', example: 'high_memory_warning 800 MB' },
  ),
}
