import { suiteOrigin } from './origin.ts'

// The suite's origin as a process of its own: origin-program.ts ADDRESS PORT

const [address = '127.0.0.1', port = '0'] = process.argv.slice(2)
suiteOrigin().listen(Number(port), address, () => console.log('listening'))
