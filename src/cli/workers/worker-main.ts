import { work } from './worker.ts'

// The program of a worker: `worker-main.ts NUMBER COUNT`, started by the supervisor alone, which says all else.

process.exitCode = await work(Number(process.argv[2]), Number(process.argv[3]))
