import { AccessFacts, type AccessNames } from '../../acl/index.ts'
import { canonicalAddress, type Endpoint, endpoint, type WallMs, wallMs } from '../../base/index.ts'
import { defaultPort, Fields, parseAbsolute, parseAuthority } from '../../http/index.ts'

// One request that nobody sends: what access lists may know of it.

export interface Question {
  readonly client: string
  readonly method: string
  readonly uri: string
  readonly now: WallMs
  /** What the host's name stands for; empty = nobody knows. */
  readonly destinations: readonly string[]
  readonly local: Endpoint
  readonly portName: string
  /** name, value, name, value ... */
  readonly fields: readonly string[]
}

/** Null: the URI is none that a proxy could be asked for. */
export const factsOf = (question: Question): AccessFacts | null => {
  const { uri, method } = question
  const facts = new AccessFacts(endpoint(question.client, 0), question.local, question.portName)
  facts.names = namesFor(question.destinations)
  facts.method = method
  facts.uri = uri
  facts.now = question.now
  facts.fields = Fields.from(question.fields)
  if (method === 'CONNECT') {
    const authority = parseAuthority(uri)
    if (authority === null) return null
    facts.host = authority.host
    facts.port = authority.port
    return facts
  }
  const target = parseAbsolute(uri)
  if (target === null) return null
  facts.scheme = target.scheme
  facts.host = target.host
  facts.port = target.port === 0 ? defaultPort(target.scheme) : target.port
  facts.urlPath = target.path
  return facts
}

const namesFor = (addresses: readonly string[]): AccessNames => ({ addressesOf: () => addresses, nameOf: () => '' })

export interface AskedLine {
  readonly question: Question
  readonly allowed: boolean
  /** `12`, `other.conf:12`, 'default', or null when any will do. */
  readonly line: string | null
}

export type ReadLine = { readonly ok: true; readonly asked: AskedLine } | { readonly ok: false; readonly reason: string }

const wrong = (reason: string): ReadLine => ({ ok: false, reason })

/** A line of a test file; null = empty or a comment. */
export const readQuestion = (text: string, now: WallMs): ReadLine | null => {
  const words: readonly string[] = text.match(/"[^"]*"|\S+/g) ?? []
  const [first] = words
  if (first === undefined || first.startsWith('#')) return null
  const arrow = words.indexOf('->')
  if (arrow < 0) return wrong("there is no '->' with the expected answer")
  const [clientText = '', method = '', uri = '', ...rest] = words.slice(0, arrow)
  const client = canonicalAddress(clientText)
  if (client === null) return wrong(`'${clientText}' is no address of a client`)
  if (uri === '') return wrong('write CLIENT METHOD URI ... -> allow|deny')
  const draft = { client, method, uri, now, destinations: [] as string[], local: endpoint('127.0.0.1', 3128), portName: '3128', fields: [] as string[] }
  const refused = readRest(rest, draft)
  if (refused !== null) return wrong(refused)
  const answer = readAnswer(words.slice(arrow + 1))
  return typeof answer === 'string' ? wrong(answer) : { ok: true, asked: { question: draft, ...answer } }
}

type Draft = { -readonly [K in keyof Question]: Question[K] } & { destinations: string[]; fields: string[] }

const readRest = (words: readonly string[], draft: Draft): string | null => {
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? ''
    if (word.startsWith('@')) {
      const next = words[i + 1] ?? ''
      const both = clockWord.test(next) && !clockWord.test(word.slice(1))
      const when = timeOf(word.slice(1), both ? next : '', draft.now)
      if (when === null) return `'${word}${both ? ` ${next}` : ''}' is no time: write @Mon 10:00, @10:00 or @2026-11-20T10:00`
      draft.now = when
      if (both) i++
    } else if (word.startsWith('"')) {
      const match = /^"([^:"]+):\s*([^"]*)"$/.exec(word)
      if (match === null) return `${word} is no field: write "Name: value"`
      draft.fields.push(match[1] ?? '', match[2] ?? '')
    } else {
      const reason = readOption(word, draft)
      if (reason !== null) return reason
    }
  }
  return null
}

const readOption = (word: string, draft: Draft): string | null => {
  const [name, ...values] = word.split('=')
  const value = values.join('=')
  switch (name) {
    case 'dst': {
      const addresses = value.split(',').map(canonicalAddress)
      const known = addresses.filter(address => address !== null)
      if (known.length < addresses.length) return `dst=${value}: not an address`
      draft.destinations = known
      return null
    }
    case 'port':
      draft.portName = value
      return null
    case 'local': {
      const match = /^\[?([^\]]*?)\]?:(\d+)$/.exec(value)
      const address = canonicalAddress(match?.[1] ?? '')
      if (address === null) return `local=${value}: write ADDRESS:PORT`
      draft.local = endpoint(address, Number(match?.[2]))
      return null
    }
    default:
      return `'${word}' is not understood: there are @TIME, dst=, port=, local= and "Name: value"`
  }
}

const readAnswer = (words: readonly string[]): Pick<AskedLine, 'allowed' | 'line'> | string => {
  const [answer, keyword, place, ...more] = words
  if (answer !== 'allow' && answer !== 'deny') return `expecting 'allow' or 'deny' behind '->', got '${answer ?? ''}'`
  const allowed = answer === 'allow'
  if (keyword === undefined) return { allowed, line: null }
  if (keyword === 'default' && place === undefined) return { allowed, line: 'default' }
  if (keyword === 'line' && place !== undefined && /^(?:.+:)?\d+$/.test(place) && more.length === 0) return { allowed, line: place }
  return `'${[keyword, place, ...more].join(' ').trim()}' is not understood: write line N, line FILE:N or default`
}

const clockWord = /^\d{1,2}:\d{2}$/
const days = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']

/** Local time, as the time ACL has it. A day without a date is that of the first week of 2024, whose 7th was a Sunday. */
const timeOf = (word: string, clock: string, now: WallMs): WallMs | null => {
  const at = (date: Date, text: string): WallMs | null => {
    const [hours = Number.NaN, minutes = Number.NaN] = text.split(':').map(Number)
    if (!(hours <= 23 && minutes <= 59)) return null
    date.setHours(hours, minutes, 0, 0)
    return wallMs(date.getTime())
  }
  if (clockWord.test(word)) return at(new Date(now), word)
  const day = days.indexOf(word.toLowerCase().slice(0, 3))
  if (day >= 0 && word.length >= 3) return at(new Date(2024, 0, day === 0 ? 7 : day), clock === '' ? '12:00' : clock)
  if (!/^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2})?)?$/.test(word)) return null
  const date = new Date(word.includes('T') ? word : `${word}T00:00`)
  return Number.isNaN(date.getTime()) ? null : clock === '' ? wallMs(date.getTime()) : at(date, clock)
}
