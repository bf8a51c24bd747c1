import type { Config } from './config.ts'
import { confText } from './parser.ts'

const hidden = 'XXXXXXXXXX'

/**
 * The conf in force as lines, for people to look at: without its passwords, which directives have in their first word,
 * behind `password=` and its like, and before the @ of a URI.
 */
export const shownConf = (config: Config): string[] => confText(config).trimEnd().split('\n').map(withoutPasswords)

const withoutPasswords = (line: string): string =>
  line
    .replace(/^(cachemgr_passwd )(?!(?:none|disable) )\S+/, `$1${hidden}`)
    .replace(/\b((?:login|passw(?:or)?d|secret|auth)=)(?!PASS|NEGOTIATE|PROXYPASS)\S+/gi, `$1${hidden}`)
    .replace(/(\/\/)[^/?#\s"@]*@/g, `$1${hidden}@`)
