import { createReadStream, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { createInterface } from 'node:readline'
import type { Explanation } from '../../acl/index.ts'
import { errnoOf, systemClock } from '../../base/index.ts'
import type { Common } from '../command/command.ts'
import type { TestWish } from '../command/test.ts'
import { type LoadedConf, loadConf } from '../load-conf.ts'
import { readLogged } from './logged.ts'
import { type AskedLine, factsOf, type Question, readQuestion } from './question.ts'

// `glassquid test`: what would http_access say? The lists are the proxy's own; no socket is opened, nobody is asked.

export interface Says {
  out(text: string): void
  error(text: string): void
}

const onTerminal: Says = { out: text => process.stdout.write(text), error: text => process.stderr.write(text) }

/** 0 when every answer was the expected one and nothing differed. */
export const policyTest = async (wish: TestWish & Common, says: Says = onTerminal): Promise<number> => {
  const conf = readConf(wish, says)
  if (conf === null) return 1
  let failures = 0
  let asked = 0
  for (const file of wish.files) {
    const done = await testFile(file, conf, says)
    failures += done.failures
    asked += done.asked
  }
  if (wish.files.length > 0) says.out(`${asked} tests, ${failures} failed\n`)
  if (wish.replay === null) return failures > 0 ? 1 : 0
  const old = wish.against === null ? null : readConf({ confFile: wish.against, confGiven: true }, says)
  if (wish.against !== null && old === null) return 1
  const different = await replay(wish.replay, conf, old, says)
  return failures > 0 || different !== 0 ? 1 : 0
}

/** Remarks are for `-k parse`; here only what refuses the conf is told. */
const readConf = (which: Pick<Common, 'confFile' | 'confGiven'>, says: Says): LoadedConf | null =>
  loadConf(which, text => {
    if (/^(?:FATAL|ERROR)/.test(text)) says.error(`${text}\n`)
  })

const decide = (conf: LoadedConf, question: Question): Promise<Explanation> | null => {
  const facts = factsOf(question)
  return facts === null ? null : conf.policy.http.access.http.explain(facts)
}

// --- questions with their answers ---

const testFile = async (file: string, conf: LoadedConf, says: Says): Promise<{ asked: number; failures: number }> => {
  const done = { asked: 0, failures: 0 }
  let lines: string[]
  try {
    lines = readFileSync(file, 'utf8').split('\n')
  } catch (error) {
    says.error(`FATAL: cannot read ${file}: ${errnoOf(error)}\n`)
    return { asked: 0, failures: 1 }
  }
  const now = systemClock.wall()
  for (const [index, text] of lines.entries()) {
    const read = readQuestion(text, now)
    if (read === null) continue
    done.asked++
    const complaint = read.ok ? await wrongAnswer(conf, read.asked) : read.reason
    if (complaint === null) continue
    done.failures++
    says.out(`${file}(${index + 1}): ${complaint}\n    ${text.trim()}\n`)
  }
  return done
}

/** Null: as expected. */
const wrongAnswer = async (conf: LoadedConf, { question, allowed, line }: AskedLine): Promise<string | null> => {
  const explained = await decide(conf, question)
  if (explained === null) return `'${question.uri}' is nothing a proxy could be asked for`
  const { decision, summary } = explained
  if (decision.allowed === allowed && (line === null || fits(line, decision.line))) return null
  return `expected ${allowed ? 'allow' : 'deny'}${line === null ? '' : line === 'default' ? ' default' : ` line ${line}`}, but it is ${summary}`
}

/** `12` stands for line 12 of whichever file; `other.conf:12` also says which. */
const fits = (wanted: string, at: { readonly file: string; readonly line: number } | null): boolean => {
  if (at === null) return wanted === 'default'
  const match = /^(?:(.+):)?(\d+)$/.exec(wanted)
  if (match === null || Number(match[2]) !== at.line) return false
  return match[1] === undefined || match[1] === at.file || match[1] === basename(at.file)
}

// --- a log, decided again ---

/** How many decisions differ; -1 when the log cannot be read. */
const replay = async (file: string, conf: LoadedConf, old: LoadedConf | null, says: Says): Promise<number> => {
  let lines = 0
  let skipped = 0
  let different = 0
  try {
    for await (const text of createInterface({ input: createReadStream(file, 'latin1'), crlfDelay: Number.POSITIVE_INFINITY })) {
      if (text === '') continue
      lines++
      const logged = readLogged(text)
      const now = logged === null ? null : await decide(conf, logged.question)
      const before = logged === null || old === null ? null : await decide(old, logged.question)
      if (logged === null || now === null) {
        skipped++
        continue
      }
      const was = before === null ? logged.allowed : before.decision.allowed
      if (was === now.decision.allowed) continue
      different++
      const { client, method, uri } = logged.question
      const how = before === null ? logged.result : before.summary
      says.out(`${file}(${lines}): ${client} ${method} ${uri}\n    was ${was ? 'allowed' : 'denied'} (${how})\n    now ${now.summary}\n`)
    }
  } catch (error) {
    says.error(`FATAL: cannot read ${file}: ${errnoOf(error)}\n`)
    return -1
  }
  const rest = skipped > 0 ? `, ${skipped} lines hold no request that could be decided` : ''
  says.out(`${lines - skipped} requests, ${different} decided otherwise${rest}\n`)
  return different
}
