// "Did you mean": the known word that needs the fewest slips of the finger. A slip is a letter too much, too few, another
// one, or two swapped.

/** The nearest of `known`, or null when none is near enough to be a misspelling. */
export const nearest = (word: string, known: Iterable<string>): string | null => {
  const wanted = bare(word)
  if (wanted.length < 3) return null // everything is near
  const slipsMax = Math.max(1, Math.floor(wanted.length / 4))
  let best: string | null = null
  let bestSlips = slipsMax + 1
  for (const candidate of known) {
    const other = bare(candidate)
    if (Math.abs(other.length - wanted.length) >= bestSlips) continue
    const slips = distance(wanted, other)
    if (slips < bestSlips) {
      best = candidate
      bestSlips = slips
    }
  }
  return best
}

/** Case and the choice of `-` or `_` are no slips. */
const bare = (word: string): string => word.slice(0, 80).toLowerCase().replaceAll('-', '_')

/** Optimal string alignment. */
const distance = (a: string, b: string): number => {
  let before: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1
      let least = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + same)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        least = Math.min(least, (before[j - 2] ?? 0) + 1)
      row.push(least)
    }
    before = last
    last = row
  }
  return last[b.length] ?? 0
}
