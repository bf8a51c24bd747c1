import { works } from './directive.ts'
import { bumpLines } from './ssl-bump.ts'
import { text } from './kinds.ts'

// TLS with clients; what ports say of it themselves is in port-tls.ts.

export const tlsDirectives = {
  ssl_bump: works(
    bumpLines,
    `What becomes of TLS on ports with ssl-bump: intercepted (https_port), and behind CONNECT (http_port). The list is walked
at up to three steps; at each, the first line counts whose ACLs match and whose action is possible there.

SslBump1: the addresses, and what CONNECT says. SslBump2: the client has said hello, and which server it means.
SslBump3: the server has answered, with its certificate if it can be seen. ACLs: at_step, ssl::server_name,
ssl::server_name_regex, and those about addresses, ports and times.

splice passes the bytes on unread (at 3 only after peek). bump speaks TLS with both ends, and what is inside goes the way
of every request (at 3 only after stare). terminate closes. peek and stare go on to the next step: peek passes the client's
hello on as it is, so that splice stays possible; stare begins TLS of our own, so that bump does. At step 3 they are passed
over. Where nothing matches: after stare bump, else splice. Without any line: splice.

client-first bumps without asking the server, and server-first is bump; both, and none, which is splice, count at step 1 only.

Names are known from step 2 on, and so an intercepted connection has none at step 1. Here an ACL about names (dstdomain,
dstdom_regex, ssl::server_name, url_regex) is then not answered "no", as by Squid, but "not yet": the hello is read, and the
list walked again; bump at step 1 reads it, too. The same holds for http_access, which is asked at step 1 as CONNECT to the
address, and again as CONNECT to the name: a list of allowed domains works without a line for at_step SslBump1.

A name counts only if it resolves to the address the client went to; otherwise ACLs see the address alone, bumped
connections get a page (409), and spliced ones go to that address and nowhere else. Who is denied is shown why: for that a
connection is bumped whatever is said here, if the port can. With TLS 1.3 a certificate is seen after stare only.`,
    {
      reload: 'new connections',
      example: 'acl step1 at_step SslBump1\nacl banks ssl::server_name .bank.example\nssl_bump peek step1\nssl_bump splice banks\nssl_bump bump all',
    },
  ),
  sslpassword_program: works(
    text('COMMAND'),
    'A program that says the passphrase of a key that has one: called by the shell, with the file, when the conf is read.',
  ),
}
