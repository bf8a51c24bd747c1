// The live table: one line per request as it happened, seen from three places.

export interface TableRow {
  readonly client: string
  /** Where the client's connection had been going. */
  readonly destination: string
  readonly taken: string
  /** Whom the origin saw; '' when it was not asked. */
  readonly originSaw: string
  /** `TCP_MISS/200` */
  readonly result: string
  readonly bytes: string
  readonly ms: string
  readonly what: string
}

interface Column {
  readonly key: keyof TableRow
  readonly title: string
  readonly width: number
  readonly right?: true
}

const columns: readonly Column[] = [
  { key: 'client', title: 'client', width: 13 },
  { key: 'destination', title: 'was going to', width: 22 },
  { key: 'taken', title: 'taken', width: 6 },
  { key: 'originSaw', title: 'origin saw', width: 14 },
  { key: 'result', title: 'result', width: 26 },
  { key: 'bytes', title: 'bytes', width: 7, right: true },
  { key: 'ms', title: 'ms', width: 5, right: true },
  { key: 'what', title: 'what', width: 0 },
]

export const tableHead = (): string =>
  `${line(column => column.title)}\n${line(column => '─'.repeat(Math.max(column.width, column.title.length)))}`

export const tableLine = (row: TableRow): string => line(column => row[column.key] || '-')

const line = (cell: (column: Column) => string): string =>
  columns
    .map(column => (column.right ? cell(column).padStart(column.width) : cell(column).padEnd(column.width)))
    .join('  ')
    .trimEnd()
