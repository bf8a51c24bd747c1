// A file's bytes to a stream without a way through user space: sendfile(2), and only of what the page cache holds, since
// it would wait for a disk, and everybody with it.
//
//   sendFile ──► cachestat: is all of it there ────────────────► sendfile ──┬─ more wanted ──► writability is asked for
//                   └─ no, or unknown ──► mincore: how much is ────┘          └─ that was all ──► it is asked for no more
//                                           └─ nothing: EAGAIN, a thread reads it

#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>

#include "engine.h"

namespace glassquid {
namespace {

// One call: others are served in between.
constexpr size_t kFileBytesMax = 2 * 1024 * 1024;
constexpr size_t kPageBytesMin = 4096;

#ifdef SYS_cachestat
constexpr long kCachestat = SYS_cachestat;
#else
constexpr long kCachestat = 451;  // Linux 6.5, the same for all CPUs
#endif

struct CachestatRange {
  uint64_t off, len;
};
struct Cachestat {
  uint64_t cache, dirty, writeback, evicted, recently_evicted;
};

// A page that is on its way from the disk counts as there, and sendfile would wait for it. What is read ahead comes in
// stretches no shorter than this, as a rule: a byte of each is asked for.
constexpr size_t kProbeBytes = 64 * 1024;

bool is_read(int file, off_t at) {
  char byte;
  iovec part = {&byte, 1};
  return preadv2(file, &part, 1, at, RWF_NOWAIT) == 1;
}

// All of [at, at + count) lies in the page cache. False: not, or the kernel cannot say. It costs a fifth of what mincore
// does, which needs a mapping and looks at each page.
bool all_cached(int file, off_t at, size_t count) {
  static const uint64_t page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  static std::atomic<bool> known{true};
  if (!known.load(std::memory_order_relaxed)) return false;
  const uint64_t from = static_cast<uint64_t>(at), last = from + count - 1;
  CachestatRange range = {from, count};
  Cachestat there{};
  if (syscall(kCachestat, file, &range, &there, 0) != 0) {
    // an old kernel, or a filter of system calls; a file that is not ours is asked about in the other way
    if (errno == ENOSYS) known.store(false, std::memory_order_relaxed);
    return false;
  }
  if (there.cache < last / page - from / page + 1) return false;
  for (uint64_t probe = from; probe < last; probe += kProbeBytes) {
    if (!is_read(file, static_cast<off_t>(probe))) return false;
  }
  return is_read(file, static_cast<off_t>(last));
}

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
  ssize_t sent = all_cached(file, from, count) ? static_cast<ssize_t>(count) : cached(file, from, count);
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
