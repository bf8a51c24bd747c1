import type { Page } from './page.ts'
import { type ManagerPassword, type Protection, protectionOf } from './passwords.ts'
import type { Manager } from './registry.ts'

interface MenuLine {
  readonly name: string
  readonly doc: string
  readonly protection: Protection
  readonly effect: 'shows' | 'changes' | 'either'
}

/** What there is to see; a line each, as squidclient and cachemgr.cgi read it. */
export const menuPage = (manager: Manager, passwords: () => readonly ManagerPassword[]): Page<readonly MenuLine[]> => ({
  name: 'menu',
  doc: 'This menu',
  protection: 'public',
  effect: 'shows',
  together: 'one',
  answer: () => ({
    ok: true,
    value: manager.pages.map(({ name, doc, protection, effect }) => ({
      name,
      doc,
      protection: protectionOf({ name, protection }, passwords()),
      effect,
    })),
  }),
  text: lines => lines.map(line => ` ${line.name.padEnd(22)}\t${line.doc.padEnd(32)}\t${line.protection}\n`).join(''),
})
