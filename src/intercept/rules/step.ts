// What applying or undoing rules consists of: commands in order, with their input. The same list is printed for reading
// (a shell script that can be kept and run at boot) and carried out, so that what is shown is what is done.

export interface Step {
  /** Printed as a comment above it; a step without belongs to the one before. */
  readonly why?: string
  readonly command: readonly [string, ...string[]]
  readonly input?: string
  /** This complaint means that there is nothing left to do: it is there, or gone, already. */
  readonly alreadySo?: RegExp
  /** Only carried out when this one fails: `iptables -C ...` before `iptables -I ...`. */
  readonly unless?: readonly [string, ...string[]]
}

export const shellText = (title: string, remarks: readonly string[], steps: readonly Step[]): string => {
  const lines = ['#!/bin/sh -e', `# ${title}`, ...remarks.map(remark => `# Note: ${remark}`)]
  for (const step of steps) {
    if (step.why !== undefined) lines.push('', `# ${step.why}`)
    const check = step.unless === undefined ? '' : `${step.unless.join(' ')} 2>/dev/null || `
    const rest = step.alreadySo === undefined ? '' : ' 2>/dev/null || true'
    const command = `${check}${step.command.join(' ')}${rest}`
    if (step.input === undefined) lines.push(command)
    else lines.push(`${command} <<'END'`, step.input.trimEnd(), 'END')
  }
  return `${lines.join('\n')}\n`
}
