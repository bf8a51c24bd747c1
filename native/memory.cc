// Memory that processes have in common: a page of a file.

#include <sys/mman.h>

#include <cerrno>

#include "engine.h"

namespace glassquid {
namespace {

void unmap(napi_env, void* memory, void* length) { munmap(memory, reinterpret_cast<size_t>(length)); }

// mapShared(fd, length): an ArrayBuffer over the beginning of the file, or minus errno. The file must be that long, and
// stay so: touching what is not there any more is SIGBUS. Unmapped when the buffer is collected; the descriptor may be
// closed at once.
napi_value map_shared(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int fd = call.integer(0), length = call.integer(1);
  if (call.wrong || length <= 0) return call.refuse();
  size_t size = static_cast<size_t>(length);
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) return call.answer(-errno);
  napi_value buffer = nullptr;
  if (napi_create_external_arraybuffer(env, memory, size, unmap, reinterpret_cast<void*>(size), &buffer) != napi_ok) {
    munmap(memory, size);
    return call.answer(-ENOMEM);
  }
  return buffer;
}

}  // namespace

void export_memory(napi_env env, napi_value object) { put(env, object, "mapShared", map_shared, nullptr); }

}  // namespace glassquid
