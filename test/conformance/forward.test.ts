import { describe } from 'vitest'
import { runInProcess } from './in-process.ts'
import { judged } from './judged.ts'

describe('the public cache suite, through a forward proxy', () => {
  judged(() =>
    runInProcess({
      conf: () => 'http_port 127.0.0.1:0 name=web\nhttp_access allow all\n',
      way: proxy => ({ host: '127.0.0.1', port: proxy, absolute: true }),
      baseUrl: origin => `http://127.0.0.1:${origin}`,
    }),
  )
})
