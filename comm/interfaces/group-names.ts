import { readdirSync, readFileSync } from 'node:fs'

// Names of interface groups, as iproute2 has them: lines of a number, decimal or with 0x, and a name. One parser for all
// places they may stand in; a later place wins, as there. Zorp read one file for its binds and another for its rules, one
// of them as if every number were hexadecimal.

const places = ['/usr/share/iproute2/group', '/etc/iproute2/rt_ifgroup', '/etc/iproute2/group']
const folders = ['/usr/share/iproute2/group.d', '/etc/iproute2/group.d']

/** Groups are unsigned 32-bit numbers. */
const groupMax = 0xffff_ffff

export const readGroupNames = (
  read: (path: string) => string = path => readFileSync(path, 'utf8'),
  list: (folder: string) => readonly string[] = folder => readdirSync(folder),
): ReadonlyMap<string, number> => {
  const names = new Map<string, number>()
  for (const text of textsOf(read, list)) for (const [name, number] of groupLines(text)) names.set(name, number)
  return names
}

/** The number of a group as somebody writes it; null: no such name. */
export const groupNumber = (text: string, names: ReadonlyMap<string, number>): number | null => names.get(text) ?? parseNumber(text)

export const groupLines = function* (text: string): Generator<[name: string, number: number]> {
  for (const line of text.split('\n')) {
    const [first = '', name = ''] = line.replace(/#.*/, '').trim().split(/\s+/)
    const number = parseNumber(first)
    if (number !== null && name !== '') yield [name, number]
  }
}

const parseNumber = (text: string): number | null => {
  const number = /^(?:0x[0-9a-f]{1,8}|\d{1,10})$/i.test(text) ? Number(text) : Number.NaN
  return number <= groupMax ? number : null
}

const textsOf = function* (read: (path: string) => string, list: (folder: string) => readonly string[]): Generator<string> {
  for (const path of places) yield orNothing(() => read(path), '')
  for (const folder of folders) {
    for (const name of orNothing<readonly string[]>(() => list(folder), [])) {
      if (name.endsWith('.conf')) yield orNothing(() => read(`${folder}/${name}`), '')
    }
  }
}

/** A place that is not there, or that is not ours to read, has no names. */
const orNothing = <T>(read: () => T, nothing: T): T => {
  try {
    return read()
  } catch {
    return nothing
  }
}
