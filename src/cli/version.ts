import { readFileSync } from 'node:fs'

interface Package {
  readonly version: string
}

/** The version in package.json: beside the sources, or one folder further up in an installed package. */
export const version: string = (() => {
  for (const path of ['../../package.json', '../../../package.json']) {
    try {
      return (JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')) as Package).version // our own file
    } catch {
      // not there: the other place
    }
  }
  return '0'
})()
