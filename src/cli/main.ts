import { Bug, unreachable } from '../base/index.ts'
import { readArguments } from './arguments.ts'
import { checkConf, controlRunning, rules, showHelp, showVersion, showWrong } from './commands.ts'

// Words in, exit code out. Each command is a function elsewhere; this is only where they part.

const main = async (words: readonly string[]): Promise<number> => {
  const wish = readArguments(words)
  switch (wish.kind) {
    case 'serve':
    case 'create':
      throw new Bug('the daemon is put together by assemble.ts')
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
