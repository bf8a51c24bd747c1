import { bytes, kib } from '../../base/index.ts'
import { valueList } from './access.ts'
import { later, works } from './directive.ts'
import { choice, count, kept, onOff, percent, size, word } from './kinds.ts'

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
    'Larger responses are not stored at all. It holds wherever in the file it stands.',
    { default: '4 MB' },
  ),
  memory_cache_mode: later(choice(['always', 'disk', 'network', 'never']), 'Which responses are kept in memory.', {
    default: 'always',
  }),
  memory_cache_shared: later(onOff(), 'Workers share one memory cache.', { default: 'on' }),
  memory_replacement_policy: later(kept('lru|heap LRU|heap GDSF|heap LFUDA'), 'Which response leaves memory first.', {
    default: 'lru',
  }),
  cache_replacement_policy: later(
    kept('lru|heap LRU|heap GDSF|heap LFUDA'),
    'Which response leaves the disk first.',
    { default: 'lru' },
  ),
  minimum_object_size: later(size(), 'Smaller responses are not written to disk.', { default: '0 KB' }),
  cache_dir: later(
    kept('TYPE DIRECTORY MBYTES [L1 L2] [options]'),
    'A directory of stored responses. There is no disk cache yet: responses live in memory.',
  ),
  store_dir_select_algorithm: later(choice(['least-load', 'round-robin']), 'Which cache_dir takes a response.', {
    default: 'least-load',
  }),
  cache_swap_low: later(percent(), 'Below this share of cache_dir nothing is evicted.', { default: '90' }),
  cache_swap_high: later(percent(), 'Above this share of cache_dir eviction hurries.', { default: '95' }),
  cache_swap_state: later(word('PATH'), 'Where the index of the disk cache lies.', { aliases: ['cache_swap_log'] }),
  paranoid_hit_validation: later(kept('TIME'), 'Checks stored responses before serving them.', { default: '0' }),
  shared_transient_entries_limit: later(count(), 'How many fetches workers may share.', {
    aliases: ['collapsed_forwarding_shared_entries_limit'],
    default: '16384',
  }),
  quick_abort_min: later(
    size({ unit: kib(1), unlimited: ['-1'] }),
    'A fetch whose clients have left is finished if less than this remains.',
    { default: '16 KB' },
  ),
  quick_abort_max: later(
    size({ unit: kib(1) }),
    'A fetch whose clients have left is stopped if more than this remains.',
    { default: '16 KB' },
  ),
  quick_abort_pct: later(percent(), 'A fetch whose clients have left is finished if more than this share is there.', {
    default: '95',
  }),
  range_offset_limit: later(
    valueList('SIZE|none', 'fast', line => size({ unlimited: ['none', '-1'] }).read(line, bytes(0))),
    'For ranges that begin before this, the whole response is fetched.',
  ),
  read_ahead_gap: later(size(), 'How far a fetch may run ahead of its client.', { default: '16 KB' }),
  digest_generation: later(onOff(), 'Makes a digest of the cache for peers.', { default: 'on' }),
  digest_bits_per_entry: later(count(), 'Bits per object in the digest.', { default: '5' }),
  digest_rebuild_period: later(kept('TIME'), 'How often the digest is made anew.', { default: '1 hour' }),
  digest_rewrite_period: later(kept('TIME'), 'How often the digest is written.', { default: '1 hour' }),
  digest_swapout_chunk_size: later(size(), 'Bytes of the digest written at once.', { default: '4096 bytes' }),
  digest_rebuild_chunk_percentage: later(percent(), 'Share of the cache looked at in one go for the digest.', {
    default: '10',
  }),
  high_memory_warning: later(size(), 'Warns when the process takes more memory.', { default: '0 KB' }),
}
