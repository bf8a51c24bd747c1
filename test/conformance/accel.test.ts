import { describe } from 'vitest'
import { runInProcess } from './in-process.ts'
import { judged } from './judged.ts'

describe('the public cache suite, through an accelerator', () => {
  judged(() =>
    runInProcess({
      conf: origin =>
        `http_port 127.0.0.1:0 accel no-vhost defaultsite=127.0.0.1:${origin} allow-direct name=web\nhttp_access allow all\n`,
      way: proxy => ({ host: '127.0.0.1', port: proxy, absolute: false }),
      baseUrl: (_, proxy) => `http://127.0.0.1:${proxy}`,
    }),
  )
})
