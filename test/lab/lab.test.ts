// `glassquid lab` as people run it: it checks itself, it stays and shows what is asked by hand, and however it ends,
// nothing is left. Run as a program; what it leaves is looked for by process id.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { afterEach, describe, expect, it } from 'vitest'
import { plays } from '../../src/intercept/lab/script.ts'
import { noLabWith } from '../support/net-lab.ts'

const why = noLabWith('nft', 'curl')
const glassquid = new URL('../../bin/glassquid', import.meta.url).pathname

interface LabRun {
  readonly child: ChildProcess
  readonly ended: Promise<number | null>
  said(): string
  /** Resolves with the first match; rejects when the lab ends without it. */
  heard(words: RegExp): Promise<string>
}

let open: ChildProcess[] = []

afterEach(async () => {
  for (const child of open) {
    if (child.exitCode === null && child.signalCode === null) {
      const gone = new Promise(resolve => child.once('exit', resolve))
      child.kill('SIGKILL')
      await gone
    }
  }
  open = []
})

const runLab = (...args: readonly string[]): LabRun => {
  const child = spawn(glassquid, ['lab', ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  open.push(child)
  let text = ''
  const waiting = new Set<() => void>()
  const hear = (part: string) => {
    text += part
    for (const look of [...waiting]) look()
  }
  child.stdout.setEncoding('utf8').on('data', hear)
  child.stderr.setEncoding('utf8').on('data', hear)
  let over = false
  const ended = new Promise<number | null>(resolve =>
    child.once('close', code => {
      over = true
      for (const look of [...waiting]) look()
      resolve(code)
    }),
  )
  return {
    child,
    ended,
    said: () => text,
    heard: words =>
      new Promise((resolve, reject) => {
        const look = () => {
          const found = words.exec(text)?.[0]
          if (found !== undefined) resolve(found)
          else if (over) reject(new Error(`ended without saying ${words}:\n${text}`))
          else return
          waiting.delete(look)
        }
        waiting.add(look)
        look()
      }),
  }
}

/** Descendants of a process, by the parents all processes name. */
const descendants = (of: number): number[] => {
  const children = readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .map(Number)
    .filter(pid => parentOf(pid) === of)
  return [...children, ...children.flatMap(descendants)]
}

const parentOf = (pid: number): number => {
  try {
    return Number(/^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1])
  } catch {
    return -1 // it ended while we looked
  }
}

const alive = (pid: number): boolean => {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'))
  } catch {
    return false
  }
}

describe.skipIf(why !== null)(`glassquid lab ${why ?? ''}`, { timeout: 120_000 }, () => {
  it('--check: every row is as it should be at client, proxy and origin', async () => {
    const lab = runLab('--check')
    const code = await lab.ended
    expect(lab.said()).toContain(`${plays.length} rows, all as they should be at client, proxy and origin.`)
    expect(code).toBe(0)
  })

  it('stays, shows what is asked by hand from the client’s machine, and ends with Ctrl-C', async () => {
    const lab = runLab()
    const command = (await lab.heard(/nsenter .* curl http:\/\/origin\.lab\/$/m)).split(' ')
    await lab.heard(/Ctrl-C ends it/)
    const processes = descendants(lab.child.pid ?? 0)
    expect(processes.length).toBeGreaterThanOrEqual(5) // three machines, proxy, origin

    const asked = spawnSync(command[0] ?? '', command.slice(1), { encoding: 'utf8' })
    expect(asked.stdout).toMatch(/The origin sees you as (198\.51\.100\.2|2001:db8:c::2)/)
    const row = await lab.heard(/^.*GET http:\/\/origin\.lab\/$/m)
    expect(row).toMatch(/ tproxy +(198\.51\.100\.2|2001:db8:c::2) +TCP_MISS\/200 /)

    lab.child.kill('SIGINT')
    expect(await lab.ended).toBe(0)
    await expect.poll(() => processes.filter(alive), { timeout: 20_000 }).toEqual([])
  })

  it.each([
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('ends by %s in the middle of its work, and says so by its exit code', async (signal, expected) => {
    const lab = runLab('--check')
    await lab.heard(/TCP_MISS\/200/)
    const processes = descendants(lab.child.pid ?? 0)
    lab.child.kill(signal)
    expect(await lab.ended).toBe(expected)
    await expect.poll(() => processes.filter(alive), { timeout: 20_000 }).toEqual([])
  })

  it('takes everything with it when it is killed', async () => {
    const lab = runLab()
    await lab.heard(/Ctrl-C ends it/)
    const processes = descendants(lab.child.pid ?? 0)
    lab.child.kill('SIGKILL')
    await lab.ended
    await expect.poll(() => processes.filter(alive), { timeout: 20_000 }).toEqual([])
  })
})
