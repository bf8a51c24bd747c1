// heap-size.ts URL: what is alive in the heap of the process whose inspector listens at URL, in bytes, with what its buffers
// hold, once what is dead has been collected.

const [, , url = ''] = process.argv
const socket = new WebSocket(url)
const waiting = new Map<number, (result: Record<string, number>) => void>()
let asked = 0
const ask = (method: string): Promise<Record<string, number>> =>
  new Promise(resolve => {
    waiting.set(++asked, resolve)
    socket.send(JSON.stringify({ id: asked, method }))
  })

socket.addEventListener('message', ({ data }) => {
  const { id, result } = JSON.parse(String(data)) as { id?: number; result?: Record<string, number> } // the inspector's protocol
  if (id !== undefined && result !== undefined) waiting.get(id)?.(result)
})
await new Promise((resolve, reject) => {
  socket.addEventListener('open', resolve)
  socket.addEventListener('error', () => reject(new Error(`no inspector at ${url}`)))
})
// the second one takes what the first one's finalizers let go
for (let i = 0; i < 2; i++) await ask('HeapProfiler.collectGarbage')
const { usedSize = 0, backingStorageSize = 0 } = await ask('Runtime.getHeapUsage')
console.log(usedSize + backingStorageSize)
socket.close()
