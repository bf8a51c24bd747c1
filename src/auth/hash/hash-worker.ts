import { parentPort } from 'node:worker_threads'
import { verifyPassword } from './verify.ts'

// A thread of its own: one password may cost tens of milliseconds, and nobody else's request shall wait for it.

parentPort?.on('message', ({ id, hash, password }: { readonly id: number; readonly hash: string; readonly password: string }) => {
  parentPort?.postMessage({ id, right: verifyPassword(hash, password) })
})
