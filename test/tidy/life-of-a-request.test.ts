import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { errorTable } from '../../src/base/index.ts'
import { stepNames } from '../../src/proxy/index.ts'

// docs/life-of-a-request.md is what a newcomer reads first. Its table of steps is the one the program runs by: names,
// questions and where each step may go.

const page = readFileSync(new URL('../../docs/life-of-a-request.md', import.meta.url), 'utf8')
const table = page.slice(page.indexOf('| step |'), page.indexOf('### receive'))
const rows = [...table.matchAll(/^\| (\w+) \| ([^|]+) \|([^|]*)\|$/gm)].map(([, name = '', question = '', next = '']) => ({
  name,
  question: question.trim(),
  next: next.split(',').map(word => word.trim()).filter(Boolean),
}))

it('the table of steps in the docs is the table the program runs by', () => {
  expect(rows.filter(row => row.name !== 'step').map(row => [row.name, row.question])).toEqual(Object.entries(stepNames))
})

it('every step goes on to steps', () => {
  for (const row of rows) for (const next of row.next) if (row.name !== 'step') expect(Object.keys(stepNames)).toContain(next)
})

it('every step of the docs that is explained below the table exists', () => {
  const headings = [...page.matchAll(/^### (.+)$/gm)].flatMap(([, text = '']) => text.split(' and '))
  for (const heading of headings) expect(Object.keys(stepNames)).toContain(heading)
})

it('the statuses told in the ways out are those of the error table', () => {
  const told = new Set([...page.matchAll(/\b([45]\d\d)\b/g)].map(([, status]) => Number(status)))
  const known = new Set<number>(Object.values(errorTable).map(line => line.status))
  for (const status of told) expect(known).toContain(status)
})
