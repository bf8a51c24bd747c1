import { readFileSync } from 'node:fs'

// What the kernel says of a subject's process (and its children): CPU time moves far less than requests per second when
// something else runs on the machine.

/** User and system time of a process, its threads and the children it still has. Clock ticks are 10 ms. */
export const cpuSeconds = (pid: number): number => {
  let ticks = 0
  for (const each of family(pid)) {
    const stat = read(`/proc/${each}/stat`)
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    ticks += Number(fields[11] ?? 0) + Number(fields[12] ?? 0)
  }
  return ticks / 100
}

/** Resident memory without what is shared with files, of the process and its children. */
export const residentBytes = (pid: number): number => {
  let kib = 0
  for (const each of family(pid)) kib += Number(/^RssAnon:\s+(\d+)/m.exec(read(`/proc/${each}/status`))?.[1] ?? 0)
  return kib * 1024
}

export const family = (pid: number): readonly number[] => {
  const children = read(`/proc/${pid}/task/${pid}/children`).trim().split(' ').filter(Boolean).map(Number)
  return [pid, ...children.flatMap(family)]
}

const read = (file: string): string => {
  try {
    return readFileSync(file, 'latin1')
  } catch {
    return ''
  }
}

export const median = (values: readonly number[]): number => {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[sorted.length >> 1] ?? Number.NaN
}
