import { unreachable } from '../base/index.ts'
import { readArguments } from './arguments.ts'
import { showHelp, showVersion, showWrong } from './words.ts'

// Words in, exit code out. Each command is a function elsewhere, loaded only when it is wanted; this is where they part.

const main = async (words: readonly string[]): Promise<number> => {
  const wish = readArguments(words)
  switch (wish.kind) {
    case 'serve': {
      const { serve } = await import('./serve.ts')
      return serve(wish)
    }
    case 'create':
      return (await commands()).createFolders(wish)
    case 'parse':
      return (await commands()).checkConf(wish)
    case 'control':
      return (await commands()).controlRunning(wish.control, wish)
    case 'rules':
      return (await commands()).rules(wish)
    case 'purge': {
      const { purge } = await import('./purge-command.ts')
      return purge(wish)
    }
    case 'explain-tuple': {
      const { explainTuple } = await import('./explain-tuple.ts')
      return explainTuple(wish)
    }
    case 'explain': {
      const { explainRequest } = await import('./explain-command.ts')
      return explainRequest(wish)
    }
    case 'manager': {
      const { showPage } = await import('./control.ts')
      return showPage(wish)
    }
    case 'import': {
      const { importConf } = await import('./import.ts')
      return importConf(wish)
    }
    case 'test': {
      const { policyTest } = await import('./policy-test/policy-test.ts')
      return policyTest(wish)
    }
    case 'sessions': {
      const { showSessions } = await import('./control.ts')
      return showSessions(wish)
    }
    case 'doctor': {
      const { doctor } = await import('./doctor.ts')
      return doctor(wish)
    }
    case 'lab': {
      const { lab } = await import('./lab.ts')
      return lab(wish)
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

const commands = () => import('./commands.ts')

process.exitCode = await main(process.argv.slice(2))
