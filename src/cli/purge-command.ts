import type { Common } from './command/command.ts'
import type { PurgeWish } from './command/purge.ts'
import { tellPage } from './control.ts'

/** `glassquid purge`: asks the running proxy. 0 = it was done, be it that nothing was stored. */
export const purge = (wish: PurgeWish & Common): Promise<number> => {
  const args = new URLSearchParams()
  for (const [name, value] of wish.what) args.append(name, value)
  return tellPage(wish, 'purge', args, 'POST')
}
