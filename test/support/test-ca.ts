import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

// Certificates as others make them: by the openssl command, in a folder of its own. Dates may lie in the past.

export interface Made {
  readonly cert: string
  readonly key: string
}

export interface Wanted {
  readonly subject: string
  /** `DNS:a,IP:1.2.3.4`; '' = no such extension. */
  readonly names?: string
  readonly ca?: boolean
  /** Absent = by itself. */
  readonly by?: Made
  readonly from?: Date
  readonly until?: Date
  readonly key?: 'rsa' | 'ec' | 'ed25519'
  /** Lines of an extension section. */
  readonly more?: readonly string[]
}

const dayMs = 86_400_000

export class TestCa {
  readonly folder = mkdtempSync(join(tmpdir(), 'glassquid-ca-'))
  #serial = 1000

  make({ subject, names = '', ca = false, by, from = daysFromNow(-1), until = daysFromNow(30), key = 'ec', more = [] }: Wanted): Made {
    const serial = String(this.#serial++)
    const file = (kind: string): string => join(this.folder, `${serial}.${kind}`)
    const algorithm = key === 'rsa' ? ['-algorithm', 'RSA'] : key === 'ec' ? ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'] : ['-algorithm', 'ED25519']
    this.openssl(['genpkey', ...algorithm, '-out', file('key')])
    this.openssl(['req', '-new', '-key', file('key'), '-subj', subject, '-out', file('csr')])
    const lines = ['[e]', `basicConstraints=critical,CA:${ca ? 'TRUE' : 'FALSE'}`, 'subjectKeyIdentifier=hash', ...more]
    if (ca) lines.push('keyUsage=critical,keyCertSign,cRLSign')
    if (names !== '') lines.push(`subjectAltName=${names}`)
    writeFileSync(file('ext'), lines.join('\n'))
    const signer = by === undefined ? { key: file('key'), cert: '' } : this.#written(by)
    writeFileSync(
      file('conf'),
      `[ca]\ndefault_ca=d\n[d]\ndatabase=${file('db')}\nserial=${file('srl')}\nnew_certs_dir=${this.folder}\ndefault_md=sha256\npolicy=p\nunique_subject=no\nemail_in_dn=yes\n[p]\nCN=optional\nO=optional\nC=optional\nOU=optional\n`,
    )
    writeFileSync(file('db'), '')
    writeFileSync(file('srl'), serial.padStart(4, '0'))
    this.openssl([
      ...['ca', '-batch', '-config', file('conf'), '-in', file('csr'), '-out', file('crt'), '-notext', '-extfile', file('ext'), '-extensions', 'e'],
      ...['-startdate', stamp(from), '-enddate', stamp(until), '-keyfile', signer.key],
      ...(by === undefined ? ['-selfsign'] : ['-cert', signer.cert]),
    ])
    return { cert: readFileSync(file('crt'), 'utf8'), key: readFileSync(file('key'), 'utf8') }
  }

  /** Its output; throws with what it complained of. */
  openssl(parameters: readonly string[], input = ''): string {
    return execFileSync('openssl', parameters, { cwd: this.folder, input, encoding: 'utf8', stdio: ['pipe', 'pipe', 'pipe'] })
  }

  write(name: string, text: string): string {
    const path = join(this.folder, name)
    writeFileSync(path, text)
    return path
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }

  #written({ cert, key }: Made): { cert: string; key: string } {
    return { cert: this.write('by.crt', cert), key: this.write('by.key', key) }
  }
}

export const daysFromNow = (days: number): Date => new Date(Math.floor(Date.now() / 1000) * 1000 + days * dayMs)

const stamp = (at: Date): string => at.toISOString().replaceAll(/[-:T]|\.\d+/g, '')
