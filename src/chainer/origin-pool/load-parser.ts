import net from 'node:net'
import { Client } from 'undici'

// undici reads its parser from disk and compiles it when its first connection stands: thirty milliseconds for whoever
// asks first, and an error where no descriptor is left at that moment. It does so now when it is handed a connection,
// and one that is dead already will do.

let loaded = false

export const loadParser = (): void => {
  if (loaded) return
  loaded = true
  const client = new Client('http://origin.invalid', { connect: (_options, callback) => callback(null, new net.Socket().destroy()) })
  client.dispatch({ path: '/', method: 'GET' }, {
    onRequestStart() {},
    onResponseStart() {},
    onResponseData() {},
    onResponseEnd() {},
    onResponseError() {
      void client.destroy()
    },
  })
}
