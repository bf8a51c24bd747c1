import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { errnoOf } from '../base/index.ts'
import { type Config, type Diagnostic, placeOf } from '../conf/index.ts'
import { ErrorPages, type PagesByLanguage } from '../proxy/index.ts'

// Error pages from their files: conf/errors/LANGUAGE/ERR_..., or the conf's error_directory.

/** A page is a page; whatever is larger is not one. */
const pageBytesMax = 256 * 1024

const shipped = fileURLToPath(new URL('../../conf/errors', import.meta.url))
const shippedStyle = join(shipped, 'errorpage.css')

type Given = 'error_directory' | 'err_page_stylesheet' | 'error_default_language'

export const errorPagesOf = (config: Config, problems: Diagnostic[]): ErrorPages => {
  const warn = (directive: Given, message: string) =>
    void problems.push({ severity: 'warning', at: placeOf(config, directive), message, hint: '' })
  const pages = (folder: string, directive: Given): ReadonlyMap<string, string> => {
    try {
      return pagesIn(folder)
    } catch (error) {
      warn(directive, `${directive} ${folder} cannot be read (${errnoOf(error)}): pages are the built-in ones`)
      return new Map()
    }
  }
  const own = config.error_directory === null ? null : pages(config.error_directory, 'error_directory')
  const languages = ourPages()
  const { error_default_language: usual } = config
  if (own === null && usual !== '' && config.given.has('error_default_language') && !languages.has(usual.toLowerCase())) {
    warn('error_default_language', `there are no error pages in '${usual}': there are ${[...languages.keys()].join(', ')}`)
  }
  return new ErrorPages({
    own,
    languages,
    defaultLanguage: config.error_default_language,
    texts: { stylesheet: styleOf(config.err_page_stylesheet, message => warn('err_page_stylesheet', message)), html: config.err_html_text, mailData: config.email_err_data },
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
