import { fetchBy } from './client.ts'
import { pausing, point, run, steady } from './suite.ts'

// The suite's client as a process of its own, which knows of no proxy: client-program.ts ADDRESS PORT
// Says the results as one line of JSON.

const [host = '127.0.0.1', port = '80'] = process.argv.slice(2)
const client = fetchBy({ host, port: Number(port), absolute: false })
point(client.fetch, `http://${host}:${port}`)
const results = await Promise.all([run(steady), run(pausing)])
client.close()
console.log(JSON.stringify(results.flat()))
