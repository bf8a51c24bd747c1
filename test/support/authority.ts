import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

// Certificates for a test, made by the openssl command: an authority of its own in a folder of its own.

export interface Certified {
  /** PEM files. */
  readonly cert: string
  readonly key: string
  /** Certificate and key in one file. */
  readonly both: string
}

export class TestAuthority {
  readonly folder = mkdtempSync(join(tmpdir(), 'glassquid-ca-'))
  readonly ca: Certified
  #count = 0

  constructor(name = 'Test CA') {
    this.ca = this.#files('ca')
    this.#openssl('req', '-x509', ...newKey, '-nodes', '-days', '30', '-subj', `/CN=${name}`, '-keyout', this.ca.key, '-out', this.ca.cert,
      '-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign,cRLSign')
    this.#join(this.ca)
  }

  /** For names (`DNS:x,IP:y`), or as OpenSSL extension lines say. */
  certify(commonName: string, altName = `DNS:${commonName}`, days = 20): Certified {
    const files = this.#files(`leaf${this.#count++}`)
    this.#openssl('req', '-x509', ...newKey, '-nodes', '-days', String(days), '-subj', `/CN=${commonName}`, '-keyout', files.key, '-out', files.cert,
      '-CA', this.ca.cert, '-CAkey', this.ca.key, '-addext', `subjectAltName=${altName}`, '-addext', 'basicConstraints=critical,CA:FALSE')
    this.#join(files)
    return files
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }

  #files(name: string): Certified {
    const at = join(this.folder, name)
    return { cert: `${at}.pem`, key: `${at}.key`, both: `${at}.both.pem` }
  }

  #join({ cert, key, both }: Certified): void {
    writeFileSync(both, readFileSync(cert, 'utf8') + readFileSync(key, 'utf8'))
  }

  #openssl(...args: readonly string[]): void {
    execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'], timeout: 30_000 })
  }
}

/** Quick to make and to shake hands with. */
const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1']
