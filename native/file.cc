// A file's bytes to a stream without a way through user space: sendfile(2), and only of what the page cache holds, since
// it would wait for a disk, and everybody with it.
//
//   sendFile ──► mincore: how much of it is there ──► sendfile ──┬─ more wanted ──► writability is asked for
//                   └─ nothing: EAGAIN, a thread reads it        └─ that was all ──► it is asked for no more

#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "engine.h"

namespace glassquid {
namespace {

// One call: others are served in between.
constexpr size_t kFileBytesMax = 1024 * 1024;
constexpr size_t kPageBytesMin = 4096;

// How many bytes of [at, at + count) lie in the page cache, from the first on; or minus errno. The mapping is only looked
// at and never touched, so that a file that was cut meanwhile does no harm.
ssize_t cached(int file, off_t at, size_t count) {
  static const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t before = static_cast<size_t>(at) % page;
  const size_t length = before + count;
  void* view = mmap(nullptr, length, PROT_READ, MAP_SHARED, file, at - static_cast<off_t>(before));
  if (view == MAP_FAILED) return -errno;
  unsigned char there[kFileBytesMax / kPageBytesMin + 2];
  const int status = mincore(view, length, there);
  const int error = errno;
  munmap(view, length);
  if (status != 0) return -error;
  size_t pages = 0;
  const size_t all = (length + page - 1) / page;
  while (pages < all && (there[pages] & 1)) pages++;
  if (pages == all) return static_cast<ssize_t>(count);
  return pages == 0 ? 0 : static_cast<ssize_t>(pages * page - before);
}

// sendFile(fd, file, at, count, more): bytes the socket took, 0 where it has no room; or minus errno, of which EAGAIN is
// the disk's, and ENODATA says that the file has ended. `more`: unless it failed, a `writable` record follows, whatever was
// taken; without, one follows when something is left.
napi_value send_file(napi_env env, napi_callback_info info) {
  Call call(env, info);
  Engine* engine = static_cast<Engine*>(call.data);
  int fd = call.integer(0), file = call.integer(1);
  double at = call.number(2), wanted = call.number(3);
  int more = call.integer(4);
  if (call.wrong != 0 || !(at >= 0) || !(wanted > 0)) return call.refuse();
  Slot* target = engine->slot(fd);
  if (target == nullptr || target->kind != Kind::stream) return call.answer(-EBADF);
  const size_t count = wanted < static_cast<double>(kFileBytesMax) ? static_cast<size_t>(wanted) : kFileBytesMax;
  off_t from = static_cast<off_t>(at);
  ssize_t sent = cached(file, from, count);
  if (sent == 0) sent = -EAGAIN;
  if (sent > 0) {
    const size_t there = static_cast<size_t>(sent);
    do sent = sendfile(fd, file, &from, there);
    while (sent < 0 && errno == EINTR);
    if (sent == 0) sent = -ENODATA;
    else if (sent < 0) sent = errno == EAGAIN ? 0 : -errno;
  }
  target->waiting = sent >= 0 && (more != 0 || static_cast<double>(sent) < wanted);
  if (target->waiting) engine->set_interest(fd, target->interest | kWritable);
  else if (target->interest & kWritable) engine->drained.push_back(fd);
  return call.answer(static_cast<int32_t>(sent));
}

}  // namespace

void export_file(napi_env env, napi_value object, Engine* engine) { put(env, object, "sendFile", send_file, engine); }

}  // namespace glassquid
