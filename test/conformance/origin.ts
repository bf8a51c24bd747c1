import http from 'node:http'
import handleConfig from 'http-cache-tests/server/handle-config.mjs'
import handleState from 'http-cache-tests/server/handle-state.mjs'
import handleTest from 'http-cache-tests/server/handle-test.mjs'

// The suite's origin: its own handlers, on a server of ours (the package's listens on a fixed port when it is loaded).
//
//   PUT /config/ID   the plan of a test: what each of its requests is to be answered
//   *   /test/ID     the next answer of the plan
//   GET /state/ID    what the origin saw of that test

const handlers = { config: handleConfig, state: handleState, test: handleTest }

export const suiteOrigin = (): http.Server =>
  http.createServer({ keepAliveTimeout: 1000 }, (request, response) => {
    const [what = '', ...segments] = new URL(request.url ?? '', 'http://origin.test').pathname.slice(1).split('/')
    datedByTheClock(response)
    if (what === 'config' || what === 'state' || what === 'test') handlers[what](segments, request, response)
    else response.writeHead(404).end()
  })

/** Node dates responses by a clock of its own, which stands still for nobody. */
const datedByTheClock = (response: http.ServerResponse): void => {
  response.sendDate = false
  const writeHead = response.writeHead
  response.writeHead = status => {
    if (!response.hasHeader('date')) response.setHeader('Date', new Date(Date.now()).toUTCString())
    return writeHead.call(response, status)
  }
}
