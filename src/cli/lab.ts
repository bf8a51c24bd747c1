import { examples, runExample, runLab } from '../intercept/index.ts'

/** The lab's own show, or an example's. Answers the exit code. */
export const lab = async (wish: { readonly check: boolean; readonly example: string | null }): Promise<number> => {
  if (wish.example === null) return runLab(wish)
  const name = wish.example.replace(/^.*\/|\.conf$/g, '')
  const found = examples.find(example => example.name === name)
  if (found !== undefined) return runExample(found, wish)
  process.stderr.write(`glassquid lab: there is no example '${wish.example}'; there are ${examples.map(example => example.name).join(', ')}\n`)
  return 1
}
