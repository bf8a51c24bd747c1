import type { Location } from './config.ts'
import type { Findings } from './findings.ts'
import { commentAt, type LogicalLine } from './lexer.ts'
import { wholeNumber } from './values.ts'

// if CONDITION / else / endif, per file. CONDITION is `true`, `false` or `INT = INT`; there is no elif, no != and no
// comparison of words. Nesting works as one expects: what stands inside a branch not taken is not taken either. (Squid
// looks at the innermost `if` alone and would read it.)

interface Open {
  readonly at: Location
  /** Lines of this branch are read. */
  taken: boolean
  /** The lines around the `if` are read. */
  readonly around: boolean
  elseAt: Location | null
}

export class Conditions {
  readonly #findings: Findings
  readonly #open: Open[] = []

  constructor(findings: Findings) {
    this.#findings = findings
  }

  /** Lines are read here. */
  get taken(): boolean {
    return this.#open.at(-1)?.taken ?? true
  }

  /** True if the line is one of ours. */
  take(line: LogicalLine): boolean {
    const text = line.text.slice(0, commentAt(line.text)).trim()
    const word = /^\S+/.exec(text)?.[0]
    if (word === 'if') this.#if(line, text.slice(2).trim())
    else if (word === 'else' || word === 'endif') this.#turn(line, word, text)
    else if (word === 'elif' || word === 'elseif') {
      this.#findings.fatal(line.at(0), `there is no '${word}'`, 'write `else`, a nested `if`, and another `endif`')
    } else return false
    return true
  }

  /** The end of the file. */
  close(): void {
    for (const open of this.#open)
      this.#findings.fatal(open.at, "if-statement without 'endif'", 'every file closes its own ifs')
  }

  #if(line: LogicalLine, condition: string): void {
    const around = this.taken
    // what is not read is not judged
    this.#open.push({ at: line.at(0), taken: around && this.#holds(line, condition), around, elseAt: null })
  }

  #turn(line: LogicalLine, word: 'else' | 'endif', text: string): void {
    const open = this.#open.at(-1)
    if (open === undefined) {
      this.#findings.fatal(line.at(0), `'${word}' without 'if'`)
      return
    }
    if (text !== word)
      this.#findings.warning(line.at(word.length), `nothing is read after '${word}'`, 'put it on a line of its own')
    if (word === 'endif') {
      this.#open.pop()
      return
    }
    if (open.elseAt !== null)
      this.#findings.fatal(line.at(0), `a second 'else', the first is in line ${open.elseAt.line}`)
    open.elseAt = line.at(0)
    open.taken = open.around && !open.taken
  }

  #holds(line: LogicalLine, condition: string): boolean {
    if (condition === 'true') return true
    if (line.broken) return false
    if (condition === 'false') return false
    const sides = condition.split('=')
    const left = wholeNumber((sides[0] ?? '').trim())
    const right = wholeNumber((sides[1] ?? '').trim())
    if (sides.length === 2 && left !== null && right !== null) return left === right
    this.#findings.fatal(
      line.at(0),
      `Unable to evaluate expression '${condition}'`,
      'a condition is true, false, or a comparison of two whole numbers such as ${process_number} = 1',
    )
    return false
  }
}
