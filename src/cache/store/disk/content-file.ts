import type { ContentReader, ContentSource } from '../../content-source.ts'
import type { OpenFiles } from './open-files.ts'

// One file per large content. Its name is its number; it lies in one of 256 folders, so that none grows long.

const folderMask = 255

export const contentFolder = (folder: string): string => `${folder}/content`

export const contentPath = (folder: string, file: number): string =>
  `${contentFolder(folder)}/${(file & folderMask).toString(16).padStart(2, '0')}/${file}`

/** A complete one. */
export class ContentFile implements ContentSource {
  readonly file: number
  readonly path: string
  readonly #length: number
  readonly #opened: OpenFiles
  readonly #lost: (error: Error) => void

  /** `lost`: told when the file cannot be opened, or is not as long as it was. */
  constructor(file: number, path: string, length: number, opened: OpenFiles, lost: (error: Error) => void) {
    this.file = file
    this.path = path
    this.#length = length
    this.#opened = opened
    this.#lost = lost
  }

  async open(): Promise<ContentReader | null> {
    const reader = await this.#opened.open(this.file, this.path, this.#length)
    if (!(reader instanceof Error)) return reader
    this.#lost(reader)
    return null
  }
}
