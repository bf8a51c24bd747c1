import { spawnSync } from 'node:child_process'
import type { Step } from './step.ts'

// Does what the steps say, in this process's own network namespace, and stops at the first that fails.

export type CarriedOut = { readonly ok: true } | { readonly ok: false; readonly reason: string }

/** Waiting for xtables' lock is the longest that may happen. */
const stepMsMax = 30_000

export const carryOut = (steps: readonly Step[]): CarriedOut => {
  // looked at before anything is done: a program that is missing half way would leave the first half behind
  const needed = new Map(steps.filter(step => !mayBeMissing(step)).map(step => [step.command[0], step]))
  for (const [tool, step] of needed) {
    if (isMissing(spawnSync(tool, ['-V'], { stdio: 'ignore' }).error)) return { ok: false, reason: readable(step, '', true) }
  }
  for (const step of steps) {
    if (step.unless !== undefined && run(step.unless, undefined).status === 0) continue
    const ran = run(step.command, step.input)
    if (ran.status === 0) continue
    const said = ran.error?.message ?? ran.stderr.trim()
    if (ran.error === undefined && step.alreadySo?.test(said)) continue
    if (isMissing(ran.error) && mayBeMissing(step)) continue
    return { ok: false, reason: readable(step, said, isMissing(ran.error)) }
  }
  return { ok: true }
}

/** An optional family or table that this machine does not have cannot hold anything of ours either. */
const mayBeMissing = (step: Step): boolean => step.alreadySo !== undefined && step.input === undefined && isRemoval(step)

const run = (command: readonly [string, ...string[]], input: string | undefined) => {
  const [file, ...args] = command
  return spawnSync(file, args, { encoding: 'utf8', timeout: stepMsMax, ...(input === undefined ? {} : { input }) })
}

const isMissing = (error: Error | undefined): boolean => error !== undefined && 'code' in error && error.code === 'ENOENT'

const isRemoval = (step: Step): boolean => ['-D', '-F', '-X', 'del', 'delete'].some(word => step.command.includes(word))

const packages: Readonly<Record<string, string>> = { nft: 'nftables', ip: 'iproute2' }

const readable = (step: Step, said: string, missing: boolean): string => {
  const [tool] = step.command
  if (missing) {
    const other = tool === 'nft' ? ', or use the other form: glassquid rules iptables' : ''
    return `'${tool}' is not installed: apt-get install ${packages[tool] ?? 'iptables'}${other}.`
  }
  if (/permitted|denied|must be root/i.test(said)) {
    return `Changing the kernel's rules needs root (CAP_NET_ADMIN): '${step.command.join(' ')}' said: ${said}`
  }
  return `'${step.command.join(' ')}' said: ${said || 'nothing'}`
}
