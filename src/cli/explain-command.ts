import { systemClock } from '../base/index.ts'
import { portsOf } from '../conf/index.ts'
import type { Common } from './command/command.ts'
import type { ExplainWish } from './command/explain.ts'
import { askRunning } from './control.ts'
import { explainPage } from './explain-page.ts'
import { loadConf, tellOnStderr } from './load-conf.ts'

/** `glassquid explain`: 0 = explained, 1 = it could not be. */
export const explainRequest = async (wish: ExplainWish & Common): Promise<number> => {
  const args = new URLSearchParams()
  for (const [name, value] of wish.question) args.append(name, value)
  if (wish.json) args.set('format', 'json')
  const asked = await askRunning(wish, 'explain', args, 'GET')
  if (asked.ok) {
    process.stdout.write(asked.text)
    return 0
  }
  if (!asked.absent) return complain(asked.reason)
  process.stderr.write(`Note: ${asked.reason}: what follows is from the conf alone\n`)
  return fromConf(wish, args)
}

/** Names are not looked up: `dst` then knows numeric hosts only. */
const fromConf = async (wish: ExplainWish & Common, args: URLSearchParams): Promise<number> => {
  const loaded = loadConf(wish, text => {
    if (/^(?:FATAL|ERROR)/.test(text)) tellOnStderr(text)
  })
  if (loaded === null) return 1
  const page = explainPage({
    clock: systemClock,
    ports: () => portsOf(loaded.config),
    parts: () => ({ policy: loaded.policy.http, running: null, names: null }),
  })
  const answer = await page.answer(args)
  if (!answer.ok) return complain(answer.reason)
  process.stdout.write(wish.json ? `${JSON.stringify(answer.value)}\n` : page.text(answer.value))
  return 0
}

const complain = (reason: string): number => {
  process.stderr.write(`glassquid: ${reason}\n`)
  return 1
}
