import type { ConfWorld } from '../../conf/index.ts'

// The files of a conf as the supervisor has read them. All workers compile the same bytes, whatever an editor does
// meanwhile; and a worker that is started again gets the conf in force, not what lies on the disk by then.

export interface ConfFiles {
  readonly texts: ReadonlyMap<string, string>
  readonly globs: ReadonlyMap<string, readonly string[]>
}

/** Larger files (lists of names) are read by each worker itself. */
const textLengthMax = 16 * 1024 * 1024

/** A world that notes what is read of it. */
export const noting = (world: ConfWorld): { readonly world: ConfWorld; readonly files: ConfFiles } => {
  const texts = new Map<string, string>()
  const globs = new Map<string, readonly string[]>()
  return {
    files: { texts, globs },
    world: {
      ...world,
      readFile(path) {
        const text = world.readFile(path)
        if (text.length <= textLengthMax) texts.set(path, text)
        return text
      },
      glob(pattern) {
        const paths = world.glob(pattern)
        globs.set(pattern, paths)
        return paths
      },
    },
  }
}

/** What was noted, and for the rest (`include ${process_number}.conf`) the world itself. */
export const noted = (world: ConfWorld, { texts, globs }: ConfFiles): ConfWorld => ({
  ...world,
  readFile: path => texts.get(path) ?? world.readFile(path),
  glob: pattern => globs.get(pattern) ?? world.glob(pattern),
})
