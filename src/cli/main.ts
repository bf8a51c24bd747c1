import { unreachable } from '../base/index.ts'
import { readArguments } from './arguments.ts'
import { checkConf, controlRunning, createFolders, rules, showHelp, showVersion, showWrong } from './commands.ts'

// Words in, exit code out. Each command is a function elsewhere; this is only where they part.

const main = async (words: readonly string[]): Promise<number> => {
  const wish = readArguments(words)
  switch (wish.kind) {
    case 'serve': {
      // loaded only when wanted: the commands start faster without it
      const { serve } = await import('./serve.ts')
      return serve(wish)
    }
    case 'create':
      return createFolders(wish)
    case 'parse':
      return checkConf(wish)
    case 'control':
      return controlRunning(wish.control, wish)
    case 'rules':
      return rules(wish)
    case 'lab': {
      // loaded only when wanted: the daemon does not carry it
      const { runLab } = await import('../intercept/index.ts')
      return runLab(wish)
    }
    case 'version':
      return showVersion()
    case 'help':
      return showHelp(wish.topic)
    case 'wrong':
      return showWrong(wish.message)
    default:
      return unreachable(wish)
  }
}

process.exitCode = await main(process.argv.slice(2))
