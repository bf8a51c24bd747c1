// Memory that is lent to sockets: what the kernel is given of it are its pages, not a copy of what they hold.
//
//   lent pages ──vmsplice──► [pipe] ──splice──► socket ──► ... until the peer has acknowledged them
//
// When the kernel is done with a page nobody is told. So these bytes are written once and never again, and the memory
// goes by munmap only: pages that are still on their way stay the kernel's, and no one else's, until they have left.
// That is why it is not malloc's, whose next owner would write into what is being sent.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <map>

#include "engine.h"

namespace glassquid {

struct Lent {
  int users = 1;  // the instance, and each block: whichever goes last
  std::map<uintptr_t, size_t> blocks;

  bool holds(const void* at, size_t length) const {
    uintptr_t from = reinterpret_cast<uintptr_t>(at);
    auto next = blocks.upper_bound(from);
    if (next == blocks.begin()) return false;
    auto block = std::prev(next);
    return from - block->first <= block->second && length <= block->second - (from - block->first);
  }
};

Lent* open_lent() { return new Lent(); }

void leave_lent(Lent* lent) {
  if (--lent->users == 0) delete lent;
}

namespace {

// One splice, through a pipe of 64 pages: what the socket does not take of it has been looked up for nothing.
constexpr size_t kPieceMax = 256 * 1024;
// Through a smaller pipe two calls for each piece cost more than the copy.
constexpr int kPipeMin = 64 * 1024;
// Sends that are copied before a larger pipe is asked for again.
constexpr int kSendsWithoutPipe = 1000;

// MADV_POPULATE_WRITE, which older headers lack.
constexpr int kPopulateWrite = 23;

// Of all environments of the process.
std::atomic<int> blocks_lent{0};

// A block whose neighbours are gone is a mapping of its own, and of those a process may have vm.max_map_count. When there
// are no more, V8 cannot get a page for its heap and ends the process: half of them are left to everybody else.
int blocks_max() {
  static const int max = [] {
    int mappings = 65530;  // the kernel's default
    if (FILE* file = fopen("/proc/sys/vm/max_map_count", "re")) {
      int said = 0;
      if (fscanf(file, "%d", &said) == 1 && said > 0) mappings = said;
      fclose(file);
    }
    return mappings / 2;
  }();
  return max;
}

// The store charges pages of 4 KB (cache/store/size.ts). Where they are larger, what the last one has too much may be an
// eighth of the content, which with those of 4 KB it never is.
bool is_wasteful(size_t length) {
  static const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t lost = (page - length % page) % page;
  return page > 4096 && lost > length / 8;
}

struct Block {
  Lent* lent;
  void* at;
  size_t length;

  void free() {
    // refused where it would take a mapping more to leave its neighbours in place: the pages go all the same
    if (munmap(at, length) != 0) madvise(at, length, MADV_DONTNEED);
    blocks_lent--;
    lent->blocks.erase(reinterpret_cast<uintptr_t>(at));
    leave_lent(lent);
    delete this;
  }
};

// On the thread of the environment, and once (Node-API).
void collected(napi_env, void*, void* hint) { static_cast<Block*>(hint)->free(); }

// lend(length): an ArrayBuffer of zeros, or minus errno (of which ENOMEM may mean that there are too many).
napi_value lend(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int length = call.integer(0);
  if (call.wrong || length <= 0) return call.refuse();
  size_t size = static_cast<size_t>(length);
  if (is_wasteful(size)) return call.answer(-ENOTSUP);
  if (blocks_lent++ >= blocks_max()) {
    blocks_lent--;
    return call.answer(-ENOMEM);
  }
  void* at = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) {
    const int error = errno;
    blocks_lent--;
    return call.answer(-error);
  }
  // small pages: one of them in the socket of a slow client keeps all of a huge one, 2 MB instead of 4 KB, when the rest of
  // the content has gone
  madvise(at, size, MADV_NOHUGEPAGE);
  // at once: a page fault each costs twice as much, and all of it will be written (Linux 5.14; before, it is faults)
  madvise(at, size, kPopulateWrite);
  Lent* lent = static_cast<Lent*>(call.data);
  lent->blocks.emplace(reinterpret_cast<uintptr_t>(at), size);
  lent->users++;
  Block* block = new Block{lent, at, size};
  napi_value buffer = nullptr;
  if (napi_create_external_arraybuffer(env, at, size, collected, block, &buffer) != napi_ok) {
    block->free();
    return call.answer(-ENOMEM);
  }
  return buffer;
}

}  // namespace

bool Engine::lends(const iovec& part) const {
  return part.iov_len >= kLentMin && can_lend && lent->holds(part.iov_base, part.iov_len);
}

bool Engine::open_lending_pipe() {
  if (lending_pipe[0] >= 0) return true;
  if (sends_without_pipe > 0) {
    sends_without_pipe--;
    return false;
  }
  if (pipe2(lending_pipe, O_NONBLOCK | O_CLOEXEC) == 0) {
    // refused to users with very many pipes (fs.pipe-user-pages-soft), who get tiny ones
    if (fcntl(lending_pipe[1], F_SETPIPE_SZ, static_cast<int>(kPieceMax)) > 0 ||
        fcntl(lending_pipe[1], F_GETPIPE_SZ) >= kPipeMin) {
      return true;
    }
    close_lending_pipe();
  }
  sends_without_pipe = kSendsWithoutPipe;
  return false;
}

void Engine::close_lending_pipe() {
  if (nowhere >= 0) ::close(nowhere);
  nowhere = -1;
  for (int& end : lending_pipe) {
    if (end >= 0) ::close(end);
    end = -1;
  }
}

// A pipe that cannot be emptied is given up, and so is one that has not in it what it should: it is asked for all it has,
// since the next connection would get the rest.
void Engine::empty_lending_pipe(ssize_t left) {
  if (nowhere < 0) nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  while (left > 0 && nowhere >= 0) {
    const ssize_t gone = splice(lending_pipe[0], nullptr, nowhere, nullptr, 2 * kPieceMax, SPLICE_F_NONBLOCK);
    if (gone <= 0) break;
    left -= gone;
  }
  if (left != 0) close_lending_pipe();
}

namespace {

// A filter of system calls, or a kernel that does not have it: it will not be otherwise the next time.
bool is_forbidden(int error) { return error == EPERM || error == EACCES || error == ENOSYS; }

// EINVAL: a socket that takes no pages (some are bound to a device that would have to see the bytes).
bool may_be_copied(int error) {
  return is_forbidden(error) || error == EINVAL || error == EOPNOTSUPP || error == ENOMEM || error == ENOBUFS;
}

}  // namespace

ssize_t Engine::send_lent(int fd, const iovec& part, bool more) {
  size_t sent = 0;
  while (sent < part.iov_len) {
    const size_t left = part.iov_len - sent;
    iovec piece = {static_cast<uint8_t*>(part.iov_base) + sent, left < kPieceMax ? left : kPieceMax};
    if (!open_lending_pipe()) return sent > 0 ? static_cast<ssize_t>(sent) : kNotLent;
    ssize_t in = vmsplice(lending_pipe[1], &piece, 1, SPLICE_F_NONBLOCK);
    if (in <= 0) {
      if (in < 0 && is_forbidden(errno)) can_lend = false;
      return sent > 0 ? static_cast<ssize_t>(sent) : kNotLent;
    }
    const bool goes_on = more || static_cast<size_t>(in) < left;
    ssize_t out = splice(lending_pipe[0], nullptr, fd, nullptr, static_cast<size_t>(in),
                         SPLICE_F_NONBLOCK | (goes_on ? SPLICE_F_MORE : 0));
    const int error = errno;
    // what is left in it belongs to this socket alone
    if (out != in) empty_lending_pipe(in - (out > 0 ? out : 0));
    if (out > 0) {
      sent += static_cast<size_t>(out);
      const int64_t all = static_cast<int64_t>(control[control::lent]) + out;
      control[control::lent] = all < INT32_MAX ? static_cast<int32_t>(all) : INT32_MAX;
    }
    if (out == in) continue;
    if (sent > 0 || out == 0 || error == EAGAIN || error == EINTR) return static_cast<ssize_t>(sent);
    if (is_forbidden(error)) can_lend = false;
    return may_be_copied(error) ? kNotLent : -error;
  }
  return static_cast<ssize_t>(sent);
}

void export_lend(napi_env env, napi_value object, Lent* lent) { put(env, object, "lend", lend, lent); }

}  // namespace glassquid
