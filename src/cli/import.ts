import { confText, type Diagnostic, diagnosticText, type LineFate, parseConf, systemWorld } from '../conf/index.ts'
import type { ImportWish } from './command/import.ts'
import { examined } from './load-conf.ts'

/** `glassquid import`: 0 when the conf can be used as it is. */
export const importConf = (wish: ImportWish): number => {
  const parsed = parseConf({ file: wish.file }, systemWorld())
  const { loaded, found } = examined(parsed)
  if (!wish.print) process.stdout.write(report(withRefusals(parsed.fates, found), found, loaded !== null))
  else if (loaded !== null) process.stdout.write(confText(loaded.config))
  else process.stderr.write(found.map(one => `${diagnosticText(one)}\n`).join(''))
  return loaded === null ? 1 : 0
}

/** A line that is known and cannot be used counts among the refused. */
const withRefusals = (fates: readonly LineFate[], found: readonly Diagnostic[]): LineFate[] => {
  const key = ({ at: { file, line } }: Pick<LineFate, 'at'>) => `${file}:${line}`
  const refused = new Set(found.filter(one => one.severity === 'fatal' || one.severity === 'error').map(key))
  return fates.map(one => (refused.has(key(one)) ? { ...one, fate: 'refused' as const, as: [] } : one))
}

const headings = {
  works: 'Works as it stands',
  changed: 'Read as something else',
  later: 'Read, but without effect yet',
  ignored: 'Means nothing any more, and is left out',
  refused: 'Must be changed first',
} as const satisfies Record<LineFate['fate'], string>

const report = (fates: readonly LineFate[], found: readonly Diagnostic[], usable: boolean): string => {
  const parts = Object.entries(headings).flatMap(([fate, heading]) => {
    const lines = fates.filter(one => one.fate === fate)
    return lines.length === 0 ? [] : [`${heading}: ${lines.length} line${lines.length === 1 ? '' : 's'}\n${list(lines)}`]
  })
  const remarks = found.length === 0 ? '' : `\nRemarks\n${found.map(one => `${diagnosticText(one)}\n`).join('')}`
  const verdict = usable ? 'This conf can be used: glassquid -f FILE' : 'This conf cannot be used as it is: see what must be changed first.'
  return `${parts.join('\n')}${remarks}\n${verdict}\n`
}

/** A name once, with its lines; what is read otherwise is told line by line. */
const list = (fates: readonly LineFate[]): string => {
  const byName = new Map<string, LineFate[]>()
  for (const one of fates) byName.set(one.name, [...(byName.get(one.name) ?? []), one])
  return [...byName]
    .map(([name, lines]) => {
      const numbers = lines.map(line => line.at.line)
      const shown = numbers.length > numbersMax ? `${numbers.slice(0, numbersMax).join(', ')} ...` : numbers.join(', ')
      const as = lines.flatMap(line => line.as)
      const became = as.length === 0 ? '' : ` -> ${[...new Set(as)].join('; ')}`
      return `  ${name} (line${numbers.length === 1 ? '' : 's'} ${shown})${became}\n`
    })
    .join('')
}

/** Long lists of ACLs are not read by anybody. */
const numbersMax = 12
