import { startProxy } from '../support/proxy.ts'

// proxy-program.ts FOLDER [MB]: a whole proxy with its cache on disk, until it is killed. Says the number of its port.

const [, , folder, megabytes = '8'] = process.argv
if (folder !== undefined) {
  const proxy = await startProxy(`
http_port 127.0.0.1:0 name=web
http_access allow all
collapsed_forwarding on
cache_dir ufs ${folder} ${megabytes}
cache_mem 1 MB
maximum_object_size_in_memory 32 KB
`)
  console.log(proxy.port('web'))
}
