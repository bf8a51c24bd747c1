import { startProxy } from '../support/proxy.ts'

// proxy-program.ts CONF: a whole proxy until it is killed. Says the number of its port `web`.

const [, , conf = ''] = process.argv
const proxy = await startProxy(conf, 'auto', undefined, () => {})
console.log(proxy.port('web'))
