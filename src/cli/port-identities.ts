import { execFileSync } from 'node:child_process'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { getCACertificates } from 'node:tls'
import { errnoOf } from '../base/index.ts'
import { type Config, type Diagnostic, type PortConfig, type PortTls, portsOf, type TlsCertificateFiles } from '../conf/index.ts'
import { type Authority, type CertificateText, type ClientCertificates, readAuthority, ServerIdentity } from '../tls/index.ts'

// The certificates and keys of ports, from their files. Read when a conf is loaded, by whoever starts the proxy: the user
// it becomes need not be able to read keys.

/** By the port's own words, which stay the same object however its addresses are found. */
export type PortIdentities = ReadonlyMap<PortTls, PortIdentity>

export interface PortIdentity {
  readonly server: ServerIdentity
  /** ssl-bump, with certificates that are made; else null. */
  readonly authority: Authority | null
}

export const portIdentities = (config: Config, problems: Diagnostic[]): PortIdentities => {
  const found = new Map<PortTls, PortIdentity>()
  for (const port of portsOf(config)) {
    if (port.tls === null) continue
    const identity = identityOf(port, port.tls, config.sslpassword_program || null, problems)
    if (identity !== null) found.set(port.tls, identity)
  }
  return found
}

const identityOf = (port: PortConfig, tls: PortTls, passwords: string | null, problems: Diagnostic[]): PortIdentity | null => {
  try {
    const [first, ...others] = tls.certificates
    const main = certificateText(first, passwords)
    const server = new ServerIdentity({
      certificates: [main, ...others.map(files => certificateText(files, passwords))],
      minVersion: tls.minVersion,
      options: tls.options,
      cipher: tls.cipher,
      curve: tls.curve,
      dhText: tls.dhFile === null ? null : text(tls.dhFile),
      clients: clientCertificates(tls),
      resumes: !tls.flags.has('NO_SESSION_REUSE'),
      sessionContext: tls.sessionContext || port.name.slice(-32), // OpenSSL takes 32 bytes
    })
    return { server, authority: tls.bump && tls.generate ? authorityOf(main, first.cert) : null }
  } catch (error) {
    const why = error instanceof CannotRead ? error.message : `${tls.certificates.map(({ cert }) => cert).join(', ')}: ${reasonOf(error)}`
    const what = tls.bump ? `No valid signing certificate configured for ${port.name}` : 'the certificate cannot be used'
    problems.push({ severity: 'fatal', at: port.at, message: `${what}: ${why}`, hint: 'tls-cert= and tls-key= are PEM files; the key may be in the first' })
    return null
  }
}

const authorityOf = ({ cert, key, passphrase }: CertificateText, file: string): Authority => {
  const answer = readAuthority(cert, key, passphrase)
  if (!answer.ok) throw new CannotRead(`${file}: ${answer.reason}`)
  return answer.authority
}

/** sslpassword_program is asked only for keys that need it: what it says is their passphrase. */
export const certificateText = ({ cert, key }: TlsCertificateFiles, passwords: string | null): CertificateText => {
  const certText = text(cert)
  new X509Certificate(certText) // says better than createSecureContext what is wrong
  const keyFile = key ?? cert
  const keyText = key === null ? certText : text(key)
  if (!/PRIVATE KEY-----/.test(keyText)) throw new CannotRead(`${keyFile}: there is no private key in it`)
  const isLocked = /ENCRYPTED/.test(keyText)
  if (isLocked && passwords === null) throw new CannotRead(`${keyFile}: the key needs a passphrase, and there is no sslpassword_program`)
  const passphrase = isLocked && passwords !== null ? said(passwords, keyFile) : undefined
  const privateKey = createPrivateKey({ key: keyText, ...(passphrase === undefined ? {} : { passphrase }) })
  if (!new X509Certificate(certText).checkPrivateKey(privateKey)) throw new CannotRead(`${keyFile}: it is not the key of ${cert}`)
  return { cert: certText, key: keyText, ...(passphrase === undefined ? {} : { passphrase }) }
}

/** At a start nobody waits for more than this. */
const passphraseMsMax = 30_000

const said = (program: string, keyFile: string): string => {
  try {
    // as Squid calls it: by the shell, the key's file as its only word
    const output = execFileSync('/bin/sh', ['-c', `${program} "$0"`, keyFile], { timeout: passphraseMsMax, maxBuffer: 4096, encoding: 'utf8' })
    return output.split('\n')[0] ?? ''
  } catch (error) {
    throw new CannotRead(`${keyFile}: sslpassword_program failed (${reasonOf(error)})`)
  }
}

const clientCertificates = (tls: PortTls): ClientCertificates | null => {
  // as Squid: without clientca= (or, for one of its older spellings, cafile=) nobody is asked
  if (tls.clientCa.length === 0) return null
  const folders = tls.caPaths.flatMap(folder => readdirSync(folder).map(name => join(folder, name)))
  const usual = tls.defaultCa && !tls.flags.has('NO_DEFAULT_CA') ? getCACertificates('default') : []
  const checks = tls.flags.has('VERIFY_CRL') || tls.flags.has('VERIFY_CRL_ALL') || tls.crlFiles.length > 0
  return {
    ca: [...[...tls.clientCa, ...tls.caFiles, ...folders].map(text), ...usual],
    crl: checks ? tls.crlFiles.map(text) : [],
    needed: !tls.flags.has('CONDITIONAL_AUTH') && !tls.flags.has('DELAYED_AUTH'),
  }
}

export class CannotRead extends Error {}

export const text = (file: string): string => {
  try {
    return readFileSync(file, 'latin1')
  } catch (error) {
    throw new CannotRead(`${file} cannot be read (${errnoOf(error)})`)
  }
}

/** OpenSSL's reason without its numbers, where it has one. */
export const reasonOf = (error: unknown): string => {
  const reason = (error as { reason?: unknown }).reason // node:crypto adds it
  return typeof reason === 'string' ? reason : error instanceof Error ? error.message : String(error)
}
