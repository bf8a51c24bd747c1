// One turn of the engine: what is ready is read into the slab, told to JavaScript in one call, and what JavaScript
// wrote meanwhile is sent.

#include <fcntl.h>
#include <unistd.h>

#include <cstring>

#include "engine.h"

namespace glassquid {
namespace {

// How often a turn asks epoll again before it lets timers and other handles run.
constexpr int kRoundsMax = 2;

uint32_t events_of(uint8_t interest) {
  uint32_t events = 0;
  if (interest & kReadable) events |= EPOLLIN;
  if (interest & kWritable) events |= EPOLLOUT;
  // Errors and hang-ups are reported whether asked for or not. Where nothing else is wanted they must come once, or a
  // deferred connection whose peer has gone would spin the loop.
  return events != 0 ? events : static_cast<uint32_t>(EPOLLET);
}

uint64_t label(int fd, uint32_t generation) {
  return (static_cast<uint64_t>(generation) << 32) | static_cast<uint32_t>(fd);
}

// Reading is deferred, or the peer's FIN has been read. A reset is told now, unless bytes are still to be read before it.
int trouble_of(int fd) {
  char unread;
  ssize_t got = recv(fd, &unread, 1, MSG_PEEK | MSG_DONTWAIT);
  if (got > 0) return 0;
  if (got < 0 && errno != EAGAIN && errno != EINTR) return errno;
  int error = 0;  // after a FIN recv answers 0 whatever came later
  socklen_t length = sizeof error;
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 ? error : errno;
}

}  // namespace

uint8_t seen_in(uint32_t events) {
  constexpr uint32_t trouble = EPOLLERR | EPOLLHUP;
  uint8_t seen = 0;
  if (events & (EPOLLIN | EPOLLRDHUP | trouble)) seen |= kSeenReadable;
  if (events & (EPOLLOUT | trouble)) seen |= kSeenWritable;
  if (events & (EPOLLRDHUP | trouble)) seen |= kSeenClosing;
  if ((events & EPOLLRDHUP) && !(events & EPOLLERR)) seen |= kSeenFin;
  if (events & EPOLLPRI) seen |= kSeenUrgent;
  if ((events & EPOLLERR) && (events & EPOLLHUP)) seen |= kSeenReset;
  return seen;
}

Slot& Engine::slot_for(int fd) {
  if (static_cast<size_t>(fd) >= slots.size()) slots.resize(fd < 512 ? 1024 : static_cast<size_t>(fd) * 2);
  return slots[fd];
}

void Engine::place(Slot& slot, Kind kind, uint8_t interest) {
  if (slot.kind == Kind::none && active++ == 0) uv_ref(reinterpret_cast<uv_handle_t*>(&poll));
  slot.kind = kind;
  slot.interest = interest;
  slot.blocked = slot.waiting = slot.fresh = slot.edge = false;
  slot.seen = 0;
  slot.flags = 0;
  slot.doublings = 0;
  slot.silenced = false;
}

int Engine::watch(int fd, Kind kind, uint32_t events, uint8_t interest) {
  if (fd < 0) return -EBADF;
  Slot& slot = slot_for(fd);
  epoll_event event{};
  event.events = events != 0 ? events : events_of(interest);
  event.data.u64 = label(fd, slot.generation);
  int op = slot.kind == Kind::none || slot.fresh ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
  if (epoll_ctl(epoll, op, fd, &event) != 0) return -errno;
  place(slot, kind, interest);
  return 0;
}

void Engine::place_fresh(int fd, int listener) {
  Slot& slot = slot_for(fd);
  place(slot, Kind::stream, kReadable);
  slot.fresh = true;
  slot.relay = listener;
  fresh.push_back(fd);
}

// A connection that nobody reads by now waits for its server and will be a relay's: what the relay wants to be told of
// is asked for at once, and the relay has to ask for nothing.
void Engine::watch_fresh() {
  for (int fd : fresh) {
    Slot* found = slot(fd);
    if (found == nullptr || !found->fresh) continue;
    const uint8_t interest = found->interest;
    const int listener = found->relay;
    const bool waiting = found->waiting;
    int failed = watch(fd, found->kind, interest == 0 ? kEverything : 0, interest);
    found->fresh = false;
    found->waiting = waiting;
    found->edge = failed == 0 && interest == 0;
    if (failed == 0) continue;
    // ENOMEM, or fs.epoll.max_user_watches: the owner is told, and the listener pauses
    add_record(record::error, fd, -failed, 0);
    add_record(record::accept_error, listener, -failed, 0);
  }
  fresh.clear();
}

void Engine::unwatch(int fd) {
  Slot* found = slot(fd);
  if (found == nullptr) return;
  found->kind = Kind::none;
  found->fresh = found->edge = false;
  found->generation++;
  if (--active == 0) uv_unref(reinterpret_cast<uv_handle_t*>(&poll));
}

int Engine::set_interest(int fd, uint8_t interest) {
  Slot* found = slot(fd);
  if (found == nullptr) return -EBADF;
  if (found->interest == interest) return 0;
  if (found->fresh) {
    found->interest = interest;
    return 0;
  }
  epoll_event event{};
  event.events = events_of(interest);
  event.data.u64 = label(fd, found->generation);
  if (epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event) != 0) return -errno;
  found->interest = interest;
  found->edge = false;
  if (!(interest & kReadable)) found->doublings = 0;
  return 0;
}

void set_reset_on_close(int fd) {
  linger now{1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

void Engine::doom(int fd, bool reset) {
  const Slot* found = slot(fd);
  if (found == nullptr) return;  // closed before, or never ours
  // its address is free from here on, not only when the turn is over: whoever wants it next may do so now
  if (found->kind == Kind::listener) {
    // closing does not take a socket that others have out of the set
    if (found->flags & kTaken) epoll_ctl(epoll, EPOLL_CTL_DEL, fd, nullptr);
    else ::shutdown(fd, SHUT_RDWR);
  }
  unwatch(fd);
  doomed.push_back(reset ? ~fd : fd);
}

void Engine::close_doomed() {
  for (int fd : doomed) {
    if (fd < 0) set_reset_on_close(fd = ~fd);
    ::close(fd);  // leaves the epoll set by itself; on Linux the descriptor is gone even when close reports an error
  }
  doomed.clear();
}

bool Engine::room(int32_t records_wanted, size_t bytes_wanted) const {
  return record_count + records_wanted <= records_max && slab_used + bytes_wanted <= slab.length;
}

void Engine::add_record(int32_t kind, int32_t fd, int32_t a, int32_t b) {
  int32_t* at = records + 4 * record_count++;
  at[0] = kind;
  at[1] = fd;
  at[2] = a;
  at[3] = b;
}

void Engine::turn() {
  epoll_event events[kEventsMax];
  for (int round = 0; round < kRoundsMax && !closed; round++) {
    int count = epoll_wait(epoll, events, kEventsMax, 0);
    if (count <= 0) break;
    for (int i = 0; i < count && !closed; i++) {
      if (!room(static_cast<int32_t>(kDatagramSlots) + 4, kReadMax) || datagrams_used > kDatagramSlots / 2) deliver();
      if (!closed) step(events[i]);
    }
    if (!closed) deliver();
    if (!closed) pump_joined();
  }
  if (!closed) deliver();  // what the end of a turn found
}

void Engine::step(const epoll_event& event) {
  int fd = static_cast<int>(event.data.u64 & 0xffffffff);
  Slot* found = slot(fd);
  if (found == nullptr || found->generation != static_cast<uint32_t>(event.data.u64 >> 32)) return;
  switch (found->kind) {
    case Kind::stream: {
      constexpr uint32_t trouble = EPOLLERR | EPOLLHUP;
      if (found->edge) found->seen |= seen_in(event.events);
      if (found->interest & kReadable) {
        if (event.events & (EPOLLIN | trouble)) receive(fd, *found);
      } else if ((event.events & trouble) && !(found->interest & kWritable)) {
        int error = trouble_of(fd);
        if (error != 0) add_record(record::error, fd, error, 0);
      }
      if ((found->interest & kWritable) && (event.events & (EPOLLOUT | trouble))) {
        add_record(record::writable, fd, 0, 0);
      }
      return;
    }
    case Kind::listener:
      return accept_batch(fd, *found);
    case Kind::connecting:
      return finish_connect(fd, *found, event.events);
    case Kind::plain: {
      int32_t ready = 0;
      if (event.events & (EPOLLIN | EPOLLERR | EPOLLHUP)) ready |= kReadable;
      if (event.events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) ready |= kWritable;
      int32_t wanted = ready & found->interest;
      found->interest = 0;  // armed with EPOLLONESHOT
      if (wanted != 0) add_record(record::ready, fd, wanted, 0);
      return;
    }
    case Kind::relayed:
      return pump(*found, event.events);
    case Kind::receiver:
    case Kind::peer:
      return receive_datagrams(fd, *found, event.events);
    case Kind::none:
      return;
  }
}

void Engine::receive(int fd, Slot& slot) {
  const size_t left = slab.length - slab_used, wanted = kReadMax << slot.doublings;
  ssize_t got = recv(fd, slab.at + slab_used, left < wanted ? left : wanted, MSG_DONTWAIT);
  if (got > 0) {
    if (static_cast<size_t>(got) == wanted) {
      if (slot.doublings < kDoublingsMax) slot.doublings++;
    } else if (static_cast<size_t>(got) < wanted / 4) slot.doublings = 0;
    int32_t start = static_cast<int32_t>(slab_used);
    slab_used += static_cast<size_t>(got);
    add_record(record::data, fd, start, static_cast<int32_t>(slab_used));
    return;
  }
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got == 0) add_record(record::end, fd, 0, 0);
  else add_record(record::error, fd, errno, 0);
  slot.silenced = true;
  ended.push_back(fd);
}

void Engine::finish_connect(int fd, Slot& slot, uint32_t events) {
  slot.seen |= seen_in(events);
  if (slot.interest == 0 || !(slot.seen & kSeenWritable)) return;  // told already, or not there yet
  slot.interest = 0;
  int error = 0;
  socklen_t length = sizeof error;
  // writable and no error: it is connected
  if ((events & (EPOLLERR | EPOLLHUP)) && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0) error = errno;
  size_t at = slab_used;
  if (error == 0) {
    memset(slab.at + at, 0, kAddress);
    length = kAddress;
    if (getsockname(fd, reinterpret_cast<sockaddr*>(slab.at + at), &length) != 0) error = errno;
    slab_used += kAddress;
  }
  add_record(record::connected, fd, error, static_cast<int32_t>(at));
}

void Engine::deliver() {
  if (record_count == 0) return;
  napi_handle_scope scope = nullptr;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  control[control::in_turn] = 1;
  call(on_batch, record_count);
  record_count = 0;
  slab_used = 0;
  if (!closed) end_turn();
  datagrams_used = 0;  // later than the rest: what was passed on was sent from where it lay
  napi_close_handle_scope(env, scope);
}

// Calls back from the event loop: promises and ticks run before it returns. What the callback throws is a bug of its
// own; it is handed to the process as an uncaught exception.
void Engine::call(napi_ref function, int32_t count) {
  napi_value callee = nullptr, receiver = nullptr, argument = nullptr;
  if (napi_get_reference_value(env, function, &callee) != napi_ok || callee == nullptr) return;
  napi_get_global(env, &receiver);
  napi_create_int32(env, count, &argument);
  if (napi_make_callback(env, nullptr, receiver, callee, 1, &argument, nullptr) == napi_ok) return;
  bool pending = false;
  if (napi_is_exception_pending(env, &pending) != napi_ok || !pending) return;
  napi_value error = nullptr;
  if (napi_get_and_clear_last_exception(env, &error) == napi_ok) napi_fatal_exception(env, error);
}

namespace {

napi_value interest(napi_env env, napi_callback_info info) {
  Call call(env, info);
  Engine* engine = static_cast<Engine*>(call.data);
  int fd = call.integer(0), mask = call.integer(1);
  Slot* found = engine->slot(fd);
  if (!call.wrong && found != nullptr && found->kind == Kind::relayed) return call.answer(0);  // the relay's own affair
  // asked for again in the turn its end was read: the next reader wants to be told of it too
  if (!call.wrong && found != nullptr && (mask & kReadable)) found->silenced = false;
  return call.answer(call.wrong ? 0 : engine->set_interest(fd, static_cast<uint8_t>(mask)));
}

// inputWaits(fd): 1 if there is something to read from a stream (bytes, an end, an error).
napi_value input_waits(napi_env env, napi_callback_info info) {
  Call call(env, info);
  Engine* engine = static_cast<Engine*>(call.data);
  int fd = call.integer(0);
  Slot* found = engine->slot(fd);
  if (call.wrong || found == nullptr || found->kind != Kind::stream) return call.answer(0);
  char unread;
  ssize_t got = recv(fd, &unread, 1, MSG_PEEK | MSG_DONTWAIT);
  return call.answer(got >= 0 || errno != EAGAIN ? 1 : 0);
}

// adopt(fd): a connected descriptor becomes a stream and is read. One of our own dials is not read yet: it was armed
// edge-triggered, and who wants input asks for it (`interest`), unless a relay takes it before.
napi_value adopt(napi_env env, napi_callback_info info) {
  Call call(env, info);
  Engine* engine = static_cast<Engine*>(call.data);
  int fd = call.integer(0);
  if (call.wrong || engine->closed) return call.answer(-EBADF);
  Slot* found = engine->slot(fd);
  if (found != nullptr && found->kind == Kind::connecting) {
    found->kind = Kind::stream;
    found->interest = 0;
    found->edge = true;
    return call.answer(0);
  }
  return call.answer(engine->watch(fd, Kind::stream, 0, kReadable));
}

// select(fd, mask): one shot; 0 disarms. The descriptor stays the engine's.
napi_value select_once(napi_env env, napi_callback_info info) {
  Call call(env, info);
  Engine* engine = static_cast<Engine*>(call.data);
  int fd = call.integer(0);
  uint32_t mask = static_cast<uint32_t>(call.integer(1));
  if (call.wrong || engine->closed) return call.answer(-EBADF);
  uint32_t events = EPOLLONESHOT;
  if (mask & kReadable) events |= EPOLLIN;
  if (mask & kWritable) events |= EPOLLOUT;
  if (mask == 0) events = EPOLLET;
  return call.answer(engine->watch(fd, Kind::plain, events, static_cast<uint8_t>(mask)));
}

// release(fd): the caller owns the descriptor from here on.
napi_value release(napi_env env, napi_callback_info info) {
  Call call(env, info);
  Engine* engine = static_cast<Engine*>(call.data);
  int fd = call.integer(0);
  if (call.wrong || engine->slot(fd) == nullptr) return call.answer(-EBADF);
  epoll_ctl(engine->epoll, EPOLL_CTL_DEL, fd, nullptr);
  engine->unwatch(fd);
  return call.answer(0);
}

// doom(fd, reset): closed at the end of the turn, or by the next flush outside of one.
napi_value doom_one(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int fd = call.integer(0), reset = call.integer(1);
  if (!call.wrong) static_cast<Engine*>(call.data)->doom(fd, reset != 0);
  return call.answer(0);
}

}  // namespace

void export_turn(napi_env env, napi_value object, Engine* engine) {
  put(env, object, "interest", interest, engine);
  put(env, object, "inputWaits", input_waits, engine);
  put(env, object, "adopt", adopt, engine);
  put(env, object, "select", select_once, engine);
  put(env, object, "release", release, engine);
  put(env, object, "doom", doom_one, engine);
}

}  // namespace glassquid
