import { valueList } from './access.ts'
import { later, works } from './directive.ts'
import { kept, needWord, text } from './kinds.ts'

// Directives of features that are still to come: TLS. Their lines are read as far as their grammar is settled, so that a
// conf for them can be checked already.

export const tlsDirectives = {
  ssl_bump: later(
    valueList('ACTION', 'slow', line => needWord(line, 'an action')?.text),
    'What becomes of intercepted TLS: splice, peek, stare, bump, terminate.',
    { restricts: true },
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
