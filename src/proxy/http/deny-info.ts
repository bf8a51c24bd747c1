import type { PageTemplate } from './page-template.ts'

// deny_info: what a denial looks like, by the ACL that had the last word.

export type DenialPage =
  | { readonly kind: 'reset' }
  /** Status 0: 302, or 307 for what a browser must not repeat as a GET. */
  | { readonly kind: 'redirect'; readonly status: number; readonly location: PageTemplate }
  /** Status 0: that of the refusal. */
  | { readonly kind: 'page'; readonly status: number; readonly page: string }

export class DenyInfo {
  /** By ACL name in lower case. */
  readonly #pages: ReadonlyMap<string, DenialPage>

  constructor(pages: ReadonlyMap<string, DenialPage>) {
    this.#pages = pages
  }

  pageFor(acl: string): DenialPage | null {
    return this.#pages.get(acl.toLowerCase()) ?? null
  }
}
