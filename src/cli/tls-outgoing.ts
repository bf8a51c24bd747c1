import { X509Certificate } from 'node:crypto'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { type AclTable, compileAccessList, compileCondition } from '../acl/index.ts'
import { bytes, type DurationMs, ms, systemClock } from '../base/index.ts'
import { type AclUse, type Config, type Diagnostic, type Location, type OutgoingTls, placeOf } from '../conf/index.ts'
import type { CertificateSigning, OutgoingTlsPolicy } from '../proxy/index.ts'
import { Issuers, type IssuerSource, SessionCache, type SignAlgorithm, TlsClient, type TlsClientOptions, Validator } from '../tls/index.ts'
import type { Programs } from './programs.ts'
import { CannotRead, certificateText, reasonOf, text } from './port-identities.ts'

// TLS towards servers, from the conf and its files. Read when a conf is loaded, as the certificates of ports are.

/** Null: tls_outgoing_options disable. */
export const outgoingTlsOf = (config: Config, acls: AclTable, programs: Programs, problems: Diagnostic[]): OutgoingTlsPolicy | null => {
  const { tls_outgoing_options: options, sslproxy_cert_error: tolerated } = config
  if (options.disabled) return null
  if (tolerated.some(({ action, acls: uses }) => action === 'allow' && uses.every(({ name, negated }) => name === 'all' && !negated))) {
    const at = tolerated[0]?.at ?? nowhere
    problems.push({ severity: 'warning', at, message: 'sslproxy_cert_error allows every error: anybody can pose as any server', hint: 'name the servers, or the errors' })
  }
  const issuers = new Issuers(() => systemClock.wall())
  const client = tlsClient(options, config, sessionsOf(config), problems, config.tls_fetch_issuers ? issuers : null, validatorOf(config, programs))
  if (client === null) return null
  const { tls_key_log: keys } = config
  return {
    client,
    issuers,
    domain: options.domain,
    tolerates: tolerated.length === 0 ? null : compileAccessList(tolerated, acls, 'deny'),
    keyLog: keys === null ? null : compileCondition(keys.acls, acls, keys.at),
  }
}

/** Also for a cache_peer, by its own options; its sessions are kept with the others. Null: a problem has been added. */
export const tlsClient = (options: OutgoingTls, config: Config, sessions: SessionCache, problems: Diagnostic[], issuers: Issuers | null = null, validator: Validator | null = null): TlsClient | null => {
  const at = options.at ?? nowhere
  try {
    const client = new TlsClient(clientOptions(options, config), { sessions, issuers, validator, now: () => systemClock.wall() })
    if (options.at !== null || config.sslproxy_foreign_intermediate_certs !== '') client.check()
    return client
  } catch (error) {
    const why = error instanceof CannotRead ? error.message : reasonOf(error)
    problems.push({ severity: 'fatal', at, message: `TLS towards servers cannot be set up: ${why}`, hint: '' })
    return null
  }
}

const validatorOf = (config: Config, programs: Programs): Validator | null => {
  const { sslcrtvalidator_program: program, sslcrtvalidator_children: children } = config
  if (program === null) return null
  const ask = programs.add({ name: 'sslcrtvalidator_program', command: program.command, children, at: placeOf(config, 'sslcrtvalidator_program'), answersEnd: '\x01' })
  return new Validator({
    ask: async question => {
      const answer = await ask(question)
      return answer.ok ? answer.text : null
    },
    ttl: ms(program.ttl * 1000),
    bytesMax: bytes(program.cacheBytes),
    now: () => systemClock.wall(),
  })
}

/** The policy begins to be used: issuers may be fetched, and what was learned of them before is known. */
export const beginOutgoingTls = (next: OutgoingTlsPolicy | null, former: OutgoingTlsPolicy | null, source: IssuerSource, bumps: boolean): void => {
  if (next === null || next === former) return
  if (former !== null) next.issuers.takeOver(former.issuers)
  next.issuers.source = source
  // a tenth of a second in which nothing else happens: rather now than when the first client waits
  if (bumps && next.client.id !== former?.client.id) next.client.warm()
}

export const sessionsOf = (config: Config): SessionCache =>
  new SessionCache(
    { bytesMax: bytes(config.sslproxy_session_cache_size), ttl: ms(config.sslproxy_session_ttl * 1000) as DurationMs },
    () => systemClock.wall(),
  )

const clientOptions = (options: OutgoingTls, config: Config): TlsClientOptions => {
  const { cert, key, cipher, minVersion, onlyVersion, flags } = options
  const own = cert === null ? null : certificateText({ cert, key }, config.sslpassword_program || null)
  const foreign = config.sslproxy_foreign_intermediate_certs
  return {
    ...(own === null ? {} : { cert: own.cert, key: own.key, passphrase: own.passphrase }),
    roots: [...options.caFiles, ...options.caPaths.flatMap(filesIn)].flatMap(certificatesIn),
    systemRoots: options.defaultCa && !flags.includes('NO_DEFAULT_CA'),
    intermediates: foreign === '' ? [] : certificatesIn(foreign),
    crls: options.crlFiles.map(text),
    ciphers: cipher === '' ? undefined : cipher,
    minVersion: onlyVersion ?? minVersion,
    maxVersion: onlyVersion ?? undefined,
    secureOptions: options.options === 0 ? undefined : options.options,
    verifyPeer: !flags.includes('DONT_VERIFY_PEER'),
    verifyDomain: !flags.includes('DONT_VERIFY_DOMAIN'),
    reuseSessions: !flags.includes('NO_SESSION_REUSE') && config.sslproxy_session_cache_size > 0,
    alpn: ['http/1.1'],
  }
}

/** Whatever its files are called: OpenSSL's hashes are of no use to us. */
const filesIn = (folder: string): string[] => {
  try {
    return readdirSync(folder).map(name => join(folder, name)).filter(path => statSync(path, { throwIfNoEntry: false })?.isFile() === true)
  } catch (error) {
    throw new CannotRead(`${folder} cannot be read (${reasonOf(error)})`)
  }
}

/** Each by itself, in PEM. */
const certificatesIn = (file: string): string[] => {
  const found = text(file).match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  if (found.length === 0) throw new CannotRead(`${file}: there is no certificate in it`)
  for (const one of found) new X509Certificate(one) // says what is wrong with it
  return found
}

/** sslproxy_cert_sign and sslproxy_cert_adapt. */
export const certificateSigningOf = (config: Config, acls: AclTable): CertificateSigning => {
  const builtIn = (value: SignAlgorithm, acl: string): { value: SignAlgorithm; when: ReturnType<typeof compileCondition> } =>
    ({ value, when: compileCondition(acl === '' ? [] : [useOf(acl)], acls, nowhere) })
  return {
    hash: config.sslproxy_cert_sign_hash,
    signs: [
      ...config.sslproxy_cert_sign.map(({ value, acls: uses, at }) => ({ value, when: compileCondition(uses, acls, at) })),
      builtIn('signUntrusted', 'ssl::certUntrusted'),
      builtIn('signSelf', 'ssl::certSelfSigned'),
      builtIn('signTrusted', ''),
    ],
    adapts: config.sslproxy_cert_adapt.map(({ value, acls: uses, at }) => ({ value, when: compileCondition(uses, acls, at) })),
  }
}

const nowhere: Location = { file: '(built in)', line: 0, column: 0, from: null }

const useOf = (name: string): AclUse => ({ name, negated: false })
