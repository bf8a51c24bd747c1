// Sending. During a turn JavaScript lists what is to be said; here it leaves in one sendmsg per connection.
//
//   commands  [slab 0 120 fd 9] [ref 0 102400 fd 9] [slab 120 98 fd 11] [shutdown fd 11] ...
//              └───────── one sendmsg ───────────┘
//   results   only for what the kernel did not take whole: fd, bytes taken or minus errno, first and last + 1 command;
//             of datagrams: fd, minus errno, first command, how many were dropped

#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "engine.h"

namespace glassquid {
namespace {

constexpr int kPartsMax = 64;
// No socket takes more at a time (net.ipv4.tcp_wmem), and each part has to be asked for.
constexpr size_t kRestMax = 4 * 1024 * 1024;

ssize_t send_copied(int fd, iovec* parts, size_t count, bool more) {
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = count;
  const int flags = MSG_NOSIGNAL | MSG_DONTWAIT | (more ? MSG_MORE : 0);
  for (;;) {
    // send(2) has less to fetch from user space, and one part is the usual case
    ssize_t sent = count == 1 ? send(fd, parts[0].iov_base, parts[0].iov_len, flags) : sendmsg(fd, &message, flags);
    if (sent >= 0) return sent;
    if (errno == EAGAIN) return 0;
    if (errno != EINTR) return -errno;
  }
}

bool view_of(napi_env env, napi_value array, uint32_t index, iovec* part) {
  napi_value view = nullptr;
  napi_typedarray_type type;
  size_t length = 0;
  return napi_get_element(env, array, index, &view) == napi_ok &&
         napi_get_typedarray_info(env, view, &type, &length, &part->iov_base, nullptr, nullptr) == napi_ok &&
         type == napi_uint8_array && ((part->iov_len = length), true);
}

}  // namespace

// Parts that are copied leave together, as far as the next that is lent.
ssize_t Engine::send_parts(int fd, iovec* parts, size_t count) {
  ssize_t sent = 0;
  for (size_t i = 0; i < count;) {
    size_t next = i;
    size_t wanted = 0;
    ssize_t got = kNotLent;
    if (lends(parts[i])) {
      wanted = parts[i].iov_len;
      next = i + 1;
      got = send_lent(fd, parts[i], next < count);
    }
    if (got == kNotLent) {
      wanted = 0;
      next = i;
      do wanted += parts[next++].iov_len;
      while (next < count && !lends(parts[next]));
      got = send_copied(fd, parts + i, next - i, next < count);
    }
    if (got < 0) return sent > 0 ? sent : got;
    sent += got;
    if (static_cast<size_t>(got) < wanted) break;
    i = next;
  }
  return sent;
}

int32_t Engine::send_commands() {
  int32_t count = control[control::commands];
  if (count > commands_max) count = commands_max;
  int32_t failed = 0;
  napi_value refs = nullptr;
  if (control[control::references] > 0) napi_get_reference_value(env, references, &refs);

  for (int32_t i = 0; i < count;) {
    const int32_t* first = commands + 4 * i;
    const int fd = first[1];
    Slot* target = slot(fd);
    if (first[0] == command::shutdown) {
      if (target != nullptr && !target->blocked) ::shutdown(fd, SHUT_WR);
      i++;
      continue;
    }
    const int32_t from = i;
    if (command::is_datagram(first[0])) {
      int32_t dropped = 0, error = 0;
      i = send_datagrams(i, count, &dropped, &error);
      if (error == 0) continue;
      int32_t* result = results + 4 * failed++;
      result[0] = fd;
      result[1] = -error;
      result[2] = from;
      result[3] = dropped;
      continue;
    }
    iovec parts[kPartsMax];
    size_t used = 0, total = 0;
    bool bad = false;
    for (; i < count && used < kPartsMax; i++) {
      const int32_t* at = commands + 4 * i;
      if (at[1] != fd || at[0] == command::shutdown) break;
      iovec& part = parts[used];
      if (at[0] == command::slab) {
        size_t offset = static_cast<uint32_t>(at[2]), length = static_cast<uint32_t>(at[3]);
        bad = bad || offset > output.length || length > output.length - offset;
        part = {output.at + offset, length};
      } else if (refs == nullptr || !view_of(env, refs, static_cast<uint32_t>(at[2]), &part)) {
        bad = true;
        part = {nullptr, 0};
      }
      total += part.iov_len;
      used++;
    }
    if (target == nullptr || target->kind != Kind::stream) continue;  // closed meanwhile
    ssize_t sent = bad ? -EFAULT : target->blocked ? 0 : send_parts(fd, parts, used);
    if (sent == static_cast<ssize_t>(total)) continue;
    if (sent >= 0) set_interest(fd, target->interest | kWritable);
    target->blocked = target->waiting = true;
    int32_t* result = results + 4 * failed++;  // at most one per command: results_max >= commands_max
    result[0] = fd;
    result[1] = static_cast<int32_t>(sent);
    result[2] = from;
    result[3] = i;
  }
  for (int32_t i = 0; i < failed; i++) {
    if (Slot* target = slot(results[4 * i])) target->blocked = false;
  }
  control[control::commands] = 0;
  control[control::references] = 0;
  return failed;
}

void Engine::end_turn() {
  // onFlushed may write and close again (what a drained or failed connection's owner does next); that ends too, but a
  // bug in JavaScript must not hold the loop for ever
  for (int again = 0; again < 64 && !closed; again++) {
    int32_t failed = control[control::commands] > 0 ? send_commands() : 0;
    if (failed == 0 && control[control::wants_flushed] == 0) break;
    control[control::wants_flushed] = 0;
    call(on_flushed, failed);
  }
  relax_drained();
  silence_ended();
  watch_fresh();
  close_doomed();
  control[control::in_turn] = 0;
}

// Later than at once: a stream's owner writes on as soon as it is told, and two epoll_ctl per turn are saved.
void Engine::relax_drained() {
  for (int fd : drained) {
    Slot* target = slot(fd);
    if (target == nullptr || target->kind != Kind::stream || target->waiting) continue;
    set_interest(fd, target->interest & kReadable);
  }
  drained.clear();
}

// Later than at once: most are closed within the turn, and need no epoll_ctl at all.
void Engine::silence_ended() {
  for (int fd : ended) {
    Slot* target = slot(fd);
    if (target == nullptr || target->kind != Kind::stream || !target->silenced) continue;
    target->silenced = false;
    set_interest(fd, target->interest & kWritable);
  }
  ended.clear();
}

namespace {

// flush(): sends the commands; answers the number of results. Descriptors are not closed.
napi_value flush(napi_env env, napi_callback_info info) {
  Call call(env, info);
  Engine* engine = static_cast<Engine*>(call.data);
  return call.answer(engine->closed ? 0 : engine->send_commands());
}

napi_value close_doomed_now(napi_env env, napi_callback_info info) {
  Call call(env, info);
  Engine* engine = static_cast<Engine*>(call.data);
  engine->relax_drained();
  engine->close_doomed();
  return call.answer(0);
}

// send(fd, views, count, skip): what waited; `skip` bytes of the first view are gone already. Bytes taken, not always of
// all views, or minus errno. Asks for writability when something is left.
napi_value send_rest(napi_env env, napi_callback_info info) {
  Call call(env, info);
  Engine* engine = static_cast<Engine*>(call.data);
  int fd = call.integer(0);
  int32_t count = call.integer(2), skip = call.integer(3);
  if (call.wrong) return call.refuse();
  Slot* target = engine->slot(fd);
  if (target == nullptr) return call.answer(-EBADF);
  iovec parts[kPartsMax];
  size_t used = 0, total = 0;
  for (; used < kPartsMax && total < kRestMax && static_cast<int32_t>(used) < count; used++) {
    if (!view_of(env, call.at[1], static_cast<uint32_t>(used), &parts[used])) return call.refuse();
    if (used == 0) {
      if (skip < 0 || static_cast<size_t>(skip) > parts[0].iov_len) return call.refuse();
      parts[0].iov_base = static_cast<uint8_t*>(parts[0].iov_base) + skip;
      parts[0].iov_len -= static_cast<size_t>(skip);
    }
    total += parts[used].iov_len;
  }
  ssize_t sent = engine->send_parts(fd, parts, used);
  if (sent >= 0) {
    target->waiting = sent < static_cast<ssize_t>(total) || static_cast<int32_t>(used) < count;
    if (target->waiting) engine->set_interest(fd, target->interest | kWritable);
    else engine->drained.push_back(fd);
  }
  return call.answer(static_cast<int32_t>(sent));
}

napi_value shutdown_write(napi_env env, napi_callback_info info) {
  Call call(env, info);
  Engine* engine = static_cast<Engine*>(call.data);
  int fd = call.integer(0);
  if (call.wrong || engine->slot(fd) == nullptr) return call.answer(-EBADF);
  return call.answer(::shutdown(fd, SHUT_WR) == 0 ? 0 : -errno);
}

}  // namespace

void export_output(napi_env env, napi_value object, Engine* engine) {
  put(env, object, "flush", flush, engine);
  put(env, object, "closeDoomed", close_doomed_now, engine);
  put(env, object, "send", send_rest, engine);
  put(env, object, "shutdown", shutdown_write, engine);
}

}  // namespace glassquid
