import { accessList, valueList } from './access.ts'
import { later, works } from './directive.ts'
import { count, kept, needWord, size, text, word } from './kinds.ts'

// Directives of features that are still to come: TLS. Their lines are read as far as their grammar is settled, so that a
// conf for them can be checked already.

export const tlsDirectives = {
  tls_outgoing_options: later(
    kept('[cert=FILE] [cafile=FILE] [min-version=1.N] [options=...] ... | disable'),
    'TLS towards origins.',
    { default: 'min-version=1.0' },
  ),
  ssl_bump: later(
    valueList('ACTION', 'slow', line => needWord(line, 'an action')?.text),
    'What becomes of intercepted TLS: splice, peek, stare, bump, terminate.',
    { restricts: true },
  ),
  sslproxy_cert_error: later(accessList('fast'), 'Which certificate errors of origins are tolerated.'),
  sslcrtd_program: later(text('COMMAND'), 'A helper that makes certificates. They are made without one.'),
  sslcrtd_children: later(kept('N [startup=N] [idle=N]'), 'How many of these helpers run.', {
    default: '32 startup=5 idle=1',
  }),
  sslcrtvalidator_program: later(text('[ttl=N] [cache=N] COMMAND'), 'A helper that judges certificates.', {
    restricts: true,
  }),
  sslcrtvalidator_children: later(kept('N [startup=N] [idle=N] [concurrency=N]'), 'How many of these helpers run.', {
    default: '32 startup=5 idle=1 concurrency=1',
  }),
  sslproxy_session_ttl: later(count(), 'How long TLS sessions are kept, in seconds.', { default: '300' }),
  sslproxy_session_cache_size: later(size(), 'How much memory TLS sessions may take.', { default: '2 MB' }),
  sslproxy_foreign_intermediate_certs: later(word('FILE'), 'Intermediate certificates that origins forget to send.'),
  sslproxy_cert_sign_hash: later(word('HASH'), 'The hash of certificates we sign.'),
  sslproxy_cert_sign: later(
    valueList('METHOD', 'fast', line => needWord(line, 'a method')?.text),
    'How certificates are signed.',
  ),
  sslproxy_cert_adapt: later(
    valueList('ALGORITHM', 'fast', line => needWord(line, 'an algorithm')?.text),
    "How an origin's certificate is changed.",
  ),
  sslpassword_program: works(
    text('COMMAND'),
    'A program that says the passphrase of a key that has one: called by the shell, with the file, when the conf is read.',
  ),
  tls_key_log: later(
    kept('MODULE:PLACE [options] if [!]ACL ...'),
    'Writes the secrets of TLS sessions, to read captures with.',
  ),
}
