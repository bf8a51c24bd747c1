import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { errnoOf } from '../base/index.ts'
import type { Config, Diagnostic, Location } from '../conf/index.ts'
import { ErrorPages, type PagesByLanguage } from '../proxy/index.ts'

// Error pages from their files: conf/errors/LANGUAGE/ERR_..., or the conf's error_directory.

/** A page is a page; whatever is larger is not one. */
const pageBytesMax = 256 * 1024

const shipped = fileURLToPath(new URL('../../conf/errors', import.meta.url))
const shippedStyle = join(shipped, 'errorpage.css')

const nowhere: Location = { file: '(conf)', line: 0, column: 0, from: null }

export const errorPagesOf = (config: Config, problems: Diagnostic[]): ErrorPages => {
  const warn = (message: string) => void problems.push({ severity: 'warning', at: nowhere, message, hint: '' })
  const pages = (folder: string, directive: string): ReadonlyMap<string, string> => {
    try {
      return pagesIn(folder)
    } catch (error) {
      warn(`${directive} ${folder} cannot be read (${errnoOf(error)}): pages are the built-in ones`)
      return new Map()
    }
  }
  const own = config.error_directory === null ? null : pages(config.error_directory, 'error_directory')
  return new ErrorPages({
    own,
    languages: ourPages(),
    defaultLanguage: config.error_default_language,
    texts: { stylesheet: styleOf(config.err_page_stylesheet, warn), html: config.err_html_text, mailData: config.email_err_data },
  })
}

let ours: PagesByLanguage | null = null

/** Those of the installation, read once. */
const ourPages = (): PagesByLanguage => {
  ours ??= new Map(foldersIn(shipped).map(language => [language, pagesIn(join(shipped, language))]))
  return ours
}

const foldersIn = (folder: string): string[] => {
  try {
    return readdirSync(folder, { withFileTypes: true }).filter(entry => entry.isDirectory()).map(entry => entry.name)
  } catch {
    return [] // an installation without them: ErrorPages has words of its own
  }
}

const pagesIn = (folder: string): ReadonlyMap<string, string> => {
  const names = readdirSync(folder).filter(name => /^[A-Za-z0-9_.-]+$/.test(name) && name.startsWith('ERR_'))
  return new Map(names.map(name => [name, readFileSync(join(folder, name), 'utf8').slice(0, pageBytesMax)]))
}

const styleOf = (path: string | null, warn: (message: string) => void): string => {
  try {
    return readFileSync(path ?? shippedStyle, 'utf8').slice(0, pageBytesMax)
  } catch (error) {
    if (path !== null) warn(`err_page_stylesheet ${path} cannot be read (${errnoOf(error)})`)
    return ''
  }
}
