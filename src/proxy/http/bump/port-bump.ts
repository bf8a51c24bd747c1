import type { Connection } from '../../../../comm/connection.ts'
import type { ClientTls, ProxyError } from '../../../base/index.ts'
import type { Session } from '../../../service/session.ts'
import type { Mint, Shown } from '../../../tls/index.ts'
import type { CertificateSigning } from '../../tls/signing.ts'
import type { DenialPage } from '../deny-info.ts'
import type { HttpPort } from '../policy.ts'

/** What a port with ssl-bump has. */
export interface PortBump {
  /** Makes certificates; null: everybody is shown the port's own (generate-host-certificates=off). */
  readonly mint: Mint | null
  readonly own: Shown
  readonly signing: CertificateSigning
  /** The http proxy within the session of another (cli/stacked.ts), as such a port has it. */
  readonly startInside: (owner: Session, client: Connection, port: HttpPort) => Session
}

/** What requests within a bumped connection have in common. */
export interface Inside {
  /** Of the CONNECT, or of the destination: for requests that name no site. */
  readonly host: string
  readonly port: number
  readonly tls: ClientTls
  /** Who has asked for the connection and proved it; '' = nobody. */
  readonly user: string
  /** The connection was bumped to say this; null = it is a proper one. */
  readonly refusal: { readonly failure: ProxyError; readonly denial: DenialPage | null; readonly accessLine: string } | null
}
