import { usage, type Wish } from './arguments.ts'
import { version } from './version.ts'

// What is only said. Kept apart: these should not have to load what does the work.

export const showVersion = (): number => {
  process.stdout.write(`glassquid ${version} (Node ${process.versions.node})\n`)
  return 0
}

export const showHelp = (topic: Extract<Wish, { kind: 'help' }>['topic']): number => {
  process.stdout.write(usage(topic))
  return 0
}

export const showWrong = (message: string): number => {
  process.stderr.write(`glassquid: ${message}\n${usage(null)}`)
  return 1
}
