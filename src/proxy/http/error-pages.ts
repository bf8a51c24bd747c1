import { type PageTexts, PageTemplate } from './page-template.ts'

// Which text an error page has: error_directory's, else that of the language the client likes best (RFC 9110 12.5.4),
// else error_default_language's, else English, else a few words that are always there.

/** Texts by page name, by language. */
export type PagesByLanguage = ReadonlyMap<string, ReadonlyMap<string, string>>

export interface FoundPage {
  readonly template: PageTemplate
  /** For Content-Language; null = nobody knows. */
  readonly language: string | null
}

export class ErrorPages {
  readonly texts: PageTexts
  /** error_directory: its pages are for everybody. */
  readonly #own: ReadonlyMap<string, FoundPage> | null
  readonly #languages: ReadonlyMap<string, ReadonlyMap<string, FoundPage>>
  readonly #usual: readonly string[]

  constructor(options: {
    readonly texts: PageTexts
    readonly own: ReadonlyMap<string, string> | null
    readonly languages: PagesByLanguage
    /** error_default_language; '' = English. */
    readonly defaultLanguage: string
  }) {
    this.texts = options.texts
    this.#own = options.own === null ? null : compiled(options.own, null)
    this.#languages = new Map([...options.languages].map(([language, pages]) => [language, compiled(pages, language)]))
    this.#usual = [options.defaultLanguage.toLowerCase(), 'en']
  }

  /** The client's choice changes pages: there is a Vary to be sent. */
  get negotiates(): boolean {
    return this.#own === null
  }

  has(page: string): boolean {
    return this.#own?.has(page) === true || [...this.#languages.values()].some(pages => pages.has(page))
  }

  /** Of languages the client would have liked, the first; '' = it names none, or has been given one. */
  missing(found: FoundPage, acceptLanguage: string | undefined): string {
    if (!this.negotiates || acceptLanguage === undefined) return ''
    const wanted = wishes(acceptLanguage)
    return found.language !== null && wanted.includes(found.language) ? '' : (wanted.find(language => languageTag.test(language)) ?? '')
  }

  find(page: string, acceptLanguage: string | undefined): FoundPage {
    const own = this.#own?.get(page)
    if (own !== undefined) return own
    const wanted = this.#own !== null || acceptLanguage === undefined ? this.#usual : [...wishes(acceptLanguage), ...this.#usual]
    for (const language of wanted) {
      const found = this.#languages.get(language)?.get(page)
      if (found !== undefined) return found
    }
    return fallback
  }
}

const compiled = (texts: ReadonlyMap<string, string>, language: string | null): ReadonlyMap<string, FoundPage> =>
  new Map([...texts].map(([name, text]) => [name, { template: new PageTemplate(text), language }]))

/** For a page that is nowhere: a name deny_info made up, or an installation without its files. */
const fallback: FoundPage = {
  template: new PageTemplate(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>%c</title></head>
<body id="%c"><h1>%c</h1><p>%Z</p><p><code>%M %U</code></p><hr>%S</body></html>
`),
  language: 'en',
}

const wishesMax = 32
/** RFC 5646 2.1, as far as it matters for a word in a log. */
const languageTag = /^[a-z]{2,8}(?:-[a-z0-9]{1,8}){0,3}$/

/** Languages by weight, each followed by itself without its region; `*` ends them, since then any will do. */
const wishes = (field: string): string[] => {
  const weighed = field.split(',', wishesMax).map((item, place) => {
    const [language = '', ...parameters] = item.split(';')
    const weight = parameters.map(parameter => /^\s*q=([01](?:\.\d{0,3})?)\s*$/i.exec(parameter)?.[1]).find(q => q !== undefined)
    return { language: language.trim().toLowerCase(), weight: Number(weight ?? 1), place }
  })
  weighed.sort((a, b) => b.weight - a.weight || a.place - b.place)
  const found: string[] = []
  for (const { language, weight } of weighed) {
    if (language === '*') break
    if (language === '' || weight === 0) continue
    found.push(language)
    if (language.includes('-')) found.push(language.slice(0, language.indexOf('-')))
  }
  return found
}
