import { constants } from 'node:crypto'
import { type Bytes, bytes } from '../../base/index.ts'
import type { PortTls, TlsFlag, TlsVersion } from '../config.ts'
import type { Line, Word } from '../line.ts'
import { nearest } from '../nearest.ts'
import { readOnOff, readSize } from '../values.ts'

// What an https_port or a port with ssl-bump says of TLS. The files are read when the conf is compiled, not here.

/** The options as they come, one after the other. */
export interface BuildingTls {
  bump: Word | null
  generate: boolean
  generatedBytesMax: Bytes
  readonly certificates: { cert: string; key: string | null }[]
  options: number
  cipher: string
  minVersion: TlsVersion
  dhFile: string | null
  curve: string | null
  readonly clientCa: string[]
  readonly caFiles: string[]
  readonly caPaths: string[]
  readonly crlFiles: string[]
  readonly flags: Set<TlsFlag>
  defaultCa: boolean
  sessionContext: string
  /** The first option that says anything of TLS. */
  first: Word | null
}

export const usualTls = (): BuildingTls => ({
  bump: null,
  generate: true,
  generatedBytesMax: bytes(4 * 1024 * 1024), // Squid's default
  certificates: [],
  options: 0,
  cipher: '',
  minVersion: 'TLSv1.2',
  dhFile: null,
  curve: null,
  clientCa: [],
  caFiles: [],
  caPaths: [],
  crlFiles: [],
  flags: new Set(),
  defaultCa: false,
  sessionContext: '',
  first: null,
})

type ReadTls = (tls: BuildingTls, value: string | null, line: Line, word: Word) => void

const refuse = (line: Line, word: Word, message: string, hint = ''): void =>
  line.fatal(`${line.name}: ${message}`, word, hint)

const valued =
  (read: (tls: BuildingTls, value: string, line: Line, word: Word) => void): ReadTls =>
  (tls, value, line, word) => {
    if (value === null || value === '') refuse(line, word, `option '${word.text}' needs a value`)
    else read(tls, value, line, word)
  }

const onOff = (value: string | null, line: Line, word: Word): boolean => {
  if (value === null) return true
  const read = readOnOff(value)
  if (!read.ok) refuse(line, word, read.message, read.hint)
  return read.ok && read.value
}

const certificate = valued((tls, value) => void tls.certificates.push({ cert: value, key: null }))

const key = valued((tls, value, line, word) => {
  const last = tls.certificates.at(-1)
  if (last === undefined || last.key !== null) refuse(line, word, 'tls-key= follows the tls-cert= it belongs to')
  else last.key = value
})

const dh = valued((tls, value) => {
  const colon = value.indexOf(':')
  tls.curve = colon < 0 ? tls.curve : value.slice(0, colon)
  tls.dhFile = value.slice(colon + 1) || null
})

/** Squid's numbers: 1 automatic, 2 SSL 2, 3 SSL 3, 4 TLS 1.0, 5 TLS 1.1, 6 TLS 1.2. */
const oldVersion = valued((_tls, value, line, word) => {
  if (!/^[1-6]$/.test(value)) return refuse(line, word, `version is a number from 1 to 6, got '${value}'`)
  if (value === '2' || value === '3') return refuse(line, word, 'SSL 2 and 3 are not spoken', 'write tls-min-version=1.2')
  if (value !== '1') line.note(`${line.name}: version= chooses one version of TLS; it is read as automatic`, word, 'write tls-min-version=1.N')
})

const minVersion = valued((tls, value, line, word) => {
  if (/^1\.[0-3]$/.test(value)) tls.minVersion = value === '1.0' ? 'TLSv1' : (`TLSv${value}` as TlsVersion) // by the pattern
  else refuse(line, word, `tls-min-version is 1.0, 1.1, 1.2 or 1.3, got '${value}'`)
})

const flags = valued((tls, value, line, word) => {
  for (const text of value.split(/[:,]/)) {
    const flag = tlsFlags.find(one => one === text)
    if (flag !== undefined) tls.flags.add(flag)
    else refuse(line, word, `Unknown TLS flag '${text}'`, likely(text, tlsFlags))
  }
})

const tlsFlags: readonly TlsFlag[] = [
  'DELAYED_AUTH', 'CONDITIONAL_AUTH', 'NO_SESSION_REUSE', 'VERIFY_CRL', 'VERIFY_CRL_ALL', 'NO_DEFAULT_CA',
]

export const likely = (text: string, words: readonly string[]): string => {
  const like = nearest(text, words)
  return like === null ? '' : `did you mean ${like}?`
}

/** OpenSSL's SSL_OP_ words, as bits. Unknown ones are left out, as by Squid: they differ between versions of OpenSSL. */
export const readSecureOptions = (value: string, before: number, line: Line, word: Word): number => {
  let options = before
  for (const text of value.split(/[:,]/).filter(one => one !== '')) {
    const removes = text.startsWith('!') || text.startsWith('-')
    const name = text.replace(/^[!+-]/, '')
    const bits = optionBits(name)
    if (bits === null) line.warning(`${line.name}: Unknown TLS option '${name}'`, word, likely(name, [...optionNames.keys()]))
    else options = removes ? options & ~bits : options | bits
  }
  return options
}

const secureOptions = valued((tls, value, line, word) => {
  tls.options = readSecureOptions(value, tls.options, line, word)
})

const optionNames = new Map(
  Object.entries(constants)
    .filter(([name]) => name.startsWith('SSL_OP_'))
    .map(([name, bits]) => [name.slice('SSL_OP_'.length), Number(bits)]),
)

/** Always so, or of no meaning any more, in the OpenSSL we have. */
const withoutEffect: ReadonlySet<string> = new Set(['SINGLE_DH_USE', 'SINGLE_ECDH_USE', 'TLS_ROLLBACK_BUG', 'NETSCAPE_REUSE_CIPHER_CHANGE_BUG'])

const optionBits = (name: string): number | null => {
  if (/^0x[0-9a-f]{1,8}$/i.test(name)) return Number.parseInt(name, 16)
  return optionNames.get(name) ?? (withoutEffect.has(name) ? 0 : null)
}

const noEffect: ReadTls = () => {}

export const tlsOptions: Readonly<Record<string, ReadTls>> = {
  'ssl-bump': (tls, _value, _line, word) => {
    tls.bump = word
  },
  'generate-host-certificates': (tls, value, line, word) => {
    tls.generate = onOff(value, line, word)
  },
  'dynamic_cert_mem_cache_size': valued((tls, value, line, word) => {
    const size = readSize(value, undefined, bytes(1))
    if (size.ok) tls.generatedBytesMax = size.value
    else refuse(line, word, size.message, size.hint)
  }),
  'tls-cert': certificate,
  'cert': certificate,
  'tls-key': key,
  'key': key,
  'options': secureOptions,
  'cipher': valued((tls, value) => {
    tls.cipher = value
  }),
  'tls-dh': dh,
  'dhparams': dh,
  'tls-min-version': minVersion,
  'version': oldVersion,
  'clientca': valued((tls, value) => void tls.clientCa.push(value)),
  'tls-cafile': valued((tls, value) => void tls.caFiles.push(value)),
  'cafile': valued((tls, value) => void tls.caFiles.push(value)),
  'capath': valued((tls, value) => void tls.caPaths.push(value)),
  'crlfile': valued((tls, value) => void tls.crlFiles.push(value)),
  'sslflags': flags,
  'tls-default-ca': (tls, value, line, word) => {
    tls.defaultCa = onOff(value, line, word)
  },
  'sslcontext': valued((tls, value) => {
    tls.sessionContext = value
  }),
  'tls-no-npn': noEffect,
}

/** What the options say together; null: the port speaks no TLS. `wanted`: it is an https_port. */
export const judgeTls = (
  tls: BuildingTls,
  port: { readonly mode: string },
  wanted: boolean,
  line: Line,
): PortTls | null => {
  const intercepted = port.mode === 'intercept' || port.mode === 'tproxy'
  const { bump, first, certificates, ...rest } = tls
  const said = bump ?? first ?? nowhere
  if (wanted && bump !== null && !intercepted)
    refuse(line, bump, 'ssl-bump on https_port requires tproxy/intercept which is missing.', "add 'tproxy' or 'intercept'")
  if (wanted && bump === null && intercepted)
    refuse(line, nowhere, 'tproxy/intercept on https_port requires ssl-bump which is missing.', "add 'ssl-bump'")
  if (!wanted && bump !== null && port.mode === 'accel')
    refuse(line, bump, 'ssl-bump does not combine with accel', 'an accelerator with TLS is an https_port')
  const [main, ...others] = certificates
  if (wanted || bump !== null) {
    if (main === undefined) {
      const missing = bump === null ? 'HTTPS_port requires a cert= parameter' : `No valid signing certificate configured for ${line.name}`
      refuse(line, said, missing, bump === null ? 'add tls-cert=FILE' : 'add tls-cert=FILE, a CA with its key')
      return null
    }
    return { ...rest, fromStart: wanted, bump: bump !== null, certificates: [main, ...others] }
  }
  if (first !== null) line.warning(`${line.name}: option '${first.text}' has no effect without ssl-bump`, first, 'an https_port speaks TLS')
  return null
}

const nowhere: Word = { text: '', offset: 0, quoted: false, isFile: false }
