// Two connections joined: bytes go socket → pipe → socket by splice(2) without being seen, JavaScript only hears the end.
//
//   a ──splice──► [pipe] ──splice──► b          both directions alike, each with a pipe of its own while bytes are in
//   b ──splice──► [pipe] ──splice──► a          it; an idle relay holds no pipe
//
// Small messages are copied: recv and send are two calls where splice needs three. What the target does not take of
// them goes into the pipe. A direction that fills the buffer is a stream and is spliced until it runs dry.
//
// Both descriptors are watched edge-triggered for everything, once. Readiness is remembered here and forgotten at
// EAGAIN. A direction that ran its quota is asked for again through epoll, so that one fast pair cannot hold the loop.
// Of a way that is closed (one-way copy) the bytes are thrown away in the kernel; its end is passed on all the same.
//
// Limited relays read no more than the poorest of the way's buckets has; the buckets are JavaScript's, who fills them and then
// calls relayResume. Relays that had to stop wait in a list, and are served in turn, a piece each, until a bucket is empty.
//
// Where no pipe can be had (descriptors ran out) bytes are peeked, sent, and only then taken: slower, nothing kept.

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "engine.h"

namespace glassquid {

struct Direction {
  int pipe_read = -1;
  int pipe_write = -1;
  size_t in_pipe = 0;
  uint64_t bytes = 0;
  bool stream = false;  // more came than a copy is good for
  bool ended = false;  // the source sent FIN
  bool shut = false;   // and the target has been told
  bool closed = false;  // what comes is thrown away
  bool starved = false;  // a bucket was empty
};

struct Relay {
  int fd[2];
  bool readable[2] = {false, false};  // joining asks epoll for everything there is: its first events tell
  bool writable[2] = {false, false};
  bool closing[2] = {false, false};  // its FIN may be among what is to be read: only reading on tells
  bool fin[2] = {false, false};      // it is: the read that empties the socket was the last
  // A read stops before urgent data, whatever lies behind it: a short one proves nothing any more.
  bool urgent[2] = {false, false};
  bool reset[2] = {false, false};  // found by reading, too, but only behind all that came before it
  Direction from[2];  // from[0]: fd[0] → fd[1]
  bool over = false;
  bool waiting = false;  // in Engine::starved
  // where in Engine::buckets the tokens of what from[0] and from[1] read are; -1 ends them
  int32_t limits[2][kLimitsPerWay];
  int first = 0;  // the way whose turn it is: both may live on the same tokens
};

namespace {

constexpr size_t kPipeBytes = 256 * 1024;
constexpr size_t kCopyBytes = 16 * 1024;
constexpr size_t kQuota = 2 * 1024 * 1024;
constexpr size_t kPipesKept = 64;
// What one limited relay may take before the next one that waits has its turn.
constexpr size_t kLimitedPiece = 16 * 1024;

// What one attempt came to.
enum class Moved { some, none, failed };

bool take_pipe(Engine& engine, Direction& way) {
  if (way.pipe_read >= 0) return true;
  if (engine.free_pipes.empty()) {
    int ends[2];
    if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) return false;
    fcntl(ends[1], F_SETPIPE_SZ, static_cast<int>(kPipeBytes));  // a wish: the default of 64 KB works as well
    // users with very many pipes get tiny ones (fs.pipe-user-pages-soft)
    if (fcntl(ends[1], F_GETPIPE_SZ) < static_cast<int>(2 * kCopyBytes)) {
      ::close(ends[0]);
      ::close(ends[1]);
      return false;
    }
    way.pipe_read = ends[0];
    way.pipe_write = ends[1];
    return true;
  }
  way.pipe_write = engine.free_pipes.back();
  engine.free_pipes.pop_back();
  way.pipe_read = engine.free_pipes.back();
  engine.free_pipes.pop_back();
  return true;
}

void drop_pipe(Engine& engine, Direction& way, bool reusable) {
  if (way.pipe_read < 0) return;
  if (reusable && engine.free_pipes.size() < 2 * kPipesKept) {
    engine.free_pipes.push_back(way.pipe_read);
    engine.free_pipes.push_back(way.pipe_write);
  } else {
    ::close(way.pipe_read);
    ::close(way.pipe_write);
  }
  way.pipe_read = way.pipe_write = -1;
}

Moved copy_through(Relay& relay, int side, size_t most, int* error) {
  char bytes[16 * 1024];
  Direction& way = relay.from[side];
  ssize_t got = recv(relay.fd[side], bytes, most < sizeof bytes ? most : sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
  if (got == 0) {
    way.ended = true;
    return Moved::none;
  }
  if (got < 0) {
    if (errno == EAGAIN) relay.readable[side] = false;
    else if (errno != EINTR) return *error = errno, Moved::failed;
    return Moved::none;
  }
  ssize_t sent = send(relay.fd[1 - side], bytes, static_cast<size_t>(got), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0) {
    if (errno == EAGAIN) relay.writable[1 - side] = false;
    else if (errno != EINTR) return *error = errno, Moved::failed;
    return Moved::none;
  }
  way.bytes += static_cast<uint64_t>(sent);
  recv(relay.fd[side], bytes, static_cast<size_t>(sent), MSG_DONTWAIT);  // they were just peeked: they are there
  return Moved::some;
}

// Only with an empty pipe at hand.
Moved move_message(Relay& relay, int side, size_t most, size_t* read, int* error) {
  char bytes[kCopyBytes];
  Direction& way = relay.from[side];
  const size_t wanted = most < sizeof bytes ? most : sizeof bytes;
  ssize_t got = recv(relay.fd[side], bytes, wanted, MSG_DONTWAIT);
  if (got == 0) {
    way.ended = true;
    return Moved::none;
  }
  if (got < 0) {
    if (errno == EAGAIN) relay.readable[side] = false;
    else if (errno != EINTR) return *error = errno, Moved::failed;
    return Moved::none;
  }
  *read = static_cast<size_t>(got);
  if (got == static_cast<ssize_t>(sizeof bytes)) way.stream = true;
  else if (got == static_cast<ssize_t>(wanted) || relay.urgent[side]) {}  // there may be more
  else if (relay.fin[side]) way.ended = true;
  else if (!relay.closing[side]) relay.readable[side] = false;  // that was all; more is a new edge (epoll(7))
  // our FIN follows at once: it travels with the bytes
  const int flags = MSG_DONTWAIT | MSG_NOSIGNAL | (way.ended ? MSG_MORE : 0);
  ssize_t sent = send(relay.fd[1 - side], bytes, static_cast<size_t>(got), flags);
  if (sent < 0) {
    if (errno != EAGAIN && errno != EINTR) return *error = errno, Moved::failed;
    sent = 0;
  }
  way.bytes += static_cast<uint64_t>(sent);
  if (sent < got) {
    relay.writable[1 - side] = false;
    ssize_t kept = write(way.pipe_write, bytes + sent, static_cast<size_t>(got - sent));
    if (kept != got - sent) return *error = EIO, Moved::failed;  // cannot be: the pipe is empty and large enough
    way.in_pipe = static_cast<size_t>(kept);
  }
  return Moved::some;
}

Moved fill_pipe(Relay& relay, int side, size_t most, size_t* read, int* error) {
  Direction& way = relay.from[side];
  const size_t wanted = most < kPipeBytes ? most : kPipeBytes;
  ssize_t got = splice(relay.fd[side], nullptr, way.pipe_write, nullptr, wanted, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  if (got > 0) {
    *read = static_cast<size_t>(got);
    way.in_pipe += static_cast<size_t>(got);
    return Moved::some;
  }
  if (got == 0) {
    way.ended = true;
    return Moved::none;
  }
  // EAGAIN with bytes in the pipe may mean a full pipe: only an empty one proves that the socket has nothing
  if (errno == EAGAIN) {
    relay.readable[side] = way.in_pipe > 0;
    way.stream = way.stream && way.in_pipe > 0;
  } else if (errno != EINTR) return *error = errno, Moved::failed;
  return Moved::none;
}

Moved empty_pipe(Relay& relay, int side, int* error) {
  Direction& way = relay.from[side];
  unsigned flags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK;
  ssize_t sent = splice(way.pipe_read, nullptr, relay.fd[1 - side], nullptr, way.in_pipe, flags);
  if (sent > 0) {
    way.in_pipe -= static_cast<size_t>(sent);
    way.bytes += static_cast<uint64_t>(sent);
    return Moved::some;
  }
  if (sent == 0 || errno == EAGAIN) relay.writable[1 - side] = false;
  else if (errno != EINTR) return *error = errno, Moved::failed;
  return Moved::none;
}

// Nobody gets these bytes: the kernel drops them without a copy (tcp(7), MSG_TRUNC).
Moved throw_away(Relay& relay, int side, int* error) {
  ssize_t got = recv(relay.fd[side], nullptr, kPipeBytes, MSG_TRUNC | MSG_DONTWAIT);
  if (got > 0) return Moved::some;
  if (got == 0) relay.from[side].ended = true;
  else if (errno == EAGAIN) relay.readable[side] = false;
  else if (errno != EINTR) return *error = errno, Moved::failed;
  return Moved::none;
}

// How many bytes may be read by the poorest bucket.
size_t allowance(const Engine& engine, const Relay& relay, int side) {
  double least = static_cast<double>(kPipeBytes);
  for (int32_t limit : relay.limits[side]) {
    if (limit < 0) break;
    double tokens = engine.buckets[limit];
    if (tokens < least) least = tokens;
  }
  return least >= 1 ? static_cast<size_t>(least) : 0;
}

void spend(Engine& engine, const Relay& relay, int side, size_t bytes) {
  for (int32_t limit : relay.limits[side]) {
    if (limit < 0) break;
    engine.buckets[limit] -= static_cast<double>(bytes);
  }
}

// Reads once. `room`: how much may be read.
Moved read_once(Engine& engine, Relay& relay, int side, size_t room, size_t* taken, int* error) {
  Direction& way = relay.from[side];
  if (way.closed) return throw_away(relay, side, error);
  const uint64_t before = way.bytes;
  size_t read = 0;
  Moved outcome = Moved::none;
  if (take_pipe(engine, way)) {
    bool message = !way.stream && way.in_pipe == 0 && relay.writable[1 - side];
    outcome = message ? move_message(relay, side, room, &read, error) : fill_pipe(relay, side, room, &read, error);
  } else if (relay.writable[1 - side]) {
    outcome = copy_through(relay, side, room, error);
    read = static_cast<size_t>(way.bytes - before);
  }
  if (relay.limits[side][0] >= 0) spend(engine, relay, side, read);
  *taken += read;
  return outcome;
}

// Moves what can be moved from one side to the other. `again`: stopped by the quota, not by the sockets.
bool pump_direction(Engine& engine, Relay& relay, int side, bool* again, int* error) {
  Direction& way = relay.from[side];
  const uint64_t before = way.bytes;
  const bool limited = relay.limits[side][0] >= 0;
  size_t taken = 0;
  way.starved = false;
  for (;;) {
    bool moved = false;
    size_t room = kPipeBytes;
    if (limited && !way.closed) {
      room = allowance(engine, relay, side);
      // whoever has had his piece waits behind the others, even with tokens left
      way.starved = room == 0 || taken >= kLimitedPiece;
      if (room > kLimitedPiece) room = kLimitedPiece;
    }
    if (relay.readable[side] && !way.ended && way.in_pipe < kPipeBytes && !way.starved) {
      Moved outcome = read_once(engine, relay, side, room, &taken, error);
      if (outcome == Moved::failed) return false;
      moved = outcome == Moved::some;
    }
    if (way.in_pipe > 0 && relay.writable[1 - side]) {
      Moved outcome = empty_pipe(relay, side, error);
      if (outcome == Moved::failed) return false;
      moved = moved || outcome == Moved::some;
    }
    if (!moved) break;
    if (way.bytes - before >= kQuota) {
      *again = true;
      break;
    }
  }
  // who is not there any more does not wait for tokens
  if (way.starved && relay.reset[side]) return *error = ECONNRESET, false;
  if (way.in_pipe == 0) drop_pipe(engine, way, true);
  if (way.ended && way.in_pipe == 0 && !way.shut) {
    way.shut = true;
    // the last end of the two is told by the close that follows; ENOTCONN after a reset: the next splice tells
    if (!relay.from[1 - side].shut) ::shutdown(relay.fd[1 - side], SHUT_WR);
  }
  return true;
}

void note_seen(Relay& relay, int side, uint8_t seen) {
  if (seen & kSeenReadable) relay.readable[side] = true;
  if (seen & kSeenWritable) relay.writable[side] = true;
  if (seen & kSeenClosing) relay.closing[side] = true;
  if (seen & kSeenFin) relay.fin[side] = true;
  if (seen & kSeenUrgent) relay.urgent[side] = true;
  if (seen & kSeenReset) relay.reset[side] = true;
}

// Watches one side for everything. Done again, epoll reports anew what is ready.
int watch_side(Engine& engine, const Relay& relay, int id, uint8_t side) {
  int failed = engine.watch(relay.fd[side], Kind::relayed, kEverything, kReadable | kWritable);
  if (failed != 0) return failed;
  engine.slots[relay.fd[side]].relay = id;
  engine.slots[relay.fd[side]].flags = side;
  return 0;
}

int watch_both(Engine& engine, const Relay& relay, int id) {
  int failed = watch_side(engine, relay, id, 0);
  return failed != 0 ? failed : watch_side(engine, relay, id, 1);
}

// Within a turn a side that is watched for everything already (Slot::edge) stays as it is, with what was seen of it.
int join_relay(Engine& engine, Relay& relay, int id) {
  const bool in_turn = engine.control[control::in_turn] != 0;
  bool known = false;
  for (uint8_t side = 0; side < 2; side++) {
    Slot& slot = engine.slots[relay.fd[side]];
    if (!in_turn || !slot.edge) {
      int failed = watch_side(engine, relay, id, side);
      if (failed != 0) return failed;
      relay.writable[side] = true;  // as it is nearly always; if not, send tells
      continue;
    }
    const uint8_t seen = slot.seen;
    engine.place(slot, Kind::relayed, kReadable | kWritable);
    slot.relay = id;
    slot.flags = side;
    note_seen(relay, side, seen);
    known = true;
  }
  if (known) engine.joined.push_back(id);
  return 0;
}

}  // namespace

void Engine::pump(const Slot& at, uint32_t events) {
  const int id = at.relay;
  Relay* relay = id >= 0 && static_cast<size_t>(id) < relays.size() ? relays[id] : nullptr;
  if (relay == nullptr || relay->over) return;
  note_seen(*relay, at.flags, seen_in(events));
  pump_relay(id, relay);
}

// Those that began in this turn with something to move. What they lead to may begin others; whoever is left after a few
// rounds is told of by epoll, when other handles of the loop have had their turn.
void Engine::pump_joined() {
  for (int round = 0; round < 4 && !joined.empty() && !closed; round++) {
    std::vector<int> list;
    list.swap(joined);
    for (int id : list) {
      if (!room(2, 0)) deliver();
      if (closed) return;
      Relay* relay = relays[id];
      if (relay != nullptr && !relay->over) pump_relay(id, relay);
    }
    deliver();
  }
  for (int id : joined) {
    Relay* relay = relays[id];
    if (relay != nullptr && !relay->over) watch_both(*this, *relay, id);
  }
  joined.clear();
}

void Engine::pump_relay(int id, Relay* relay) {
  bool again = false;
  int error = 0;
  const int first = relay->first;
  const uint64_t before = relay->from[first].bytes;
  if (!pump_direction(*this, *relay, first, &again, &error) || !pump_direction(*this, *relay, 1 - first, &again, &error)) {
    add_record(record::relayed, id, error, 0);
    return end_relay(id, error, true);
  }
  if (relay->from[0].shut && relay->from[1].shut) {
    add_record(record::relayed, id, 0, 0);
    return end_relay(id, 0, false);
  }
  if (relay->from[first].bytes > before) relay->first = 1 - first;
  if (again) watch_both(*this, *relay, id);
  const bool wants = (relay->from[0].starved && relay->readable[0]) || (relay->from[1].starved && relay->readable[1]);
  if (wants && !relay->waiting) {
    relay->waiting = true;
    starved.push_back(id);
  }
}

// The buckets have been filled. Each that waits has a piece, those with more to read again, until nobody can go on.
void Engine::resume_starved() {
  for (bool moved = true; moved && !starved.empty() && !closed;) {
    moved = false;
    std::vector<int> round;
    round.swap(starved);
    for (int id : round) {
      Relay* relay = static_cast<size_t>(id) < relays.size() ? relays[id] : nullptr;
      if (relay == nullptr || relay->over || !relay->waiting) continue;
      if (!room(2, 0)) {  // no place for the news of an end: this one waits for the next time
        starved.push_back(id);
        continue;
      }
      relay->waiting = false;
      const uint64_t before = relay->from[0].bytes + relay->from[1].bytes + relay->from[0].in_pipe + relay->from[1].in_pipe;
      pump_relay(id, relay);
      moved = moved || relay->from[0].bytes + relay->from[1].bytes + relay->from[0].in_pipe + relay->from[1].in_pipe > before;
    }
  }
}

// Both descriptors are given up; the counters stay until JavaScript has read them.
void Engine::end_relay(int id, int, bool reset) {
  Relay* relay = relays[id];
  if (!relay->over) {
    relay->over = true;
    for (int side = 0; side < 2; side++) {
      drop_pipe(*this, relay->from[side], relay->from[side].in_pipe == 0);
      doom(relay->fd[side], reset);
    }
  }
  if (closed) {
    delete relay;
    relays[id] = nullptr;
  }
}

namespace {

Relay* relay_of(Engine* engine, int id) {
  return id >= 0 && static_cast<size_t>(id) < engine->relays.size() ? engine->relays[id] : nullptr;
}

// relay(a, b, ended, limits): bit 0: a has sent FIN already, bit 1: b has; bits 2, 3: what a, b sends is thrown away.
// `limits`: places in the tokens, for what a sends, then for what b sends; -1 ends each. Answers an id or minus errno.
napi_value relay_start(napi_env env, napi_callback_info info) {
  Call call(env, info);
  Engine* engine = static_cast<Engine*>(call.data);
  int a = call.integer(0), b = call.integer(1), ended = call.integer(2);
  Bytes limits = call.bytes(3);
  if (call.wrong || limits.length != sizeof(Relay::limits)) return call.refuse();
  if (engine->slot(a) == nullptr || engine->slot(b) == nullptr) return call.answer(-EBADF);
  int id;
  if (engine->free_relays.empty()) {
    id = static_cast<int>(engine->relays.size());
    engine->relays.push_back(nullptr);
  } else {
    id = engine->free_relays.back();
    engine->free_relays.pop_back();
  }
  Relay* relay = engine->relays[id] = new Relay();
  relay->fd[0] = a;
  relay->fd[1] = b;
  relay->from[0].ended = ended & 1;
  relay->from[1].ended = ended & 2;
  relay->from[0].closed = ended & 4;
  relay->from[1].closed = ended & 8;
  memcpy(relay->limits, limits.at, sizeof relay->limits);
  for (auto& way : relay->limits) {
    for (int32_t& limit : way) {
      if (limit >= engine->token_count) limit = -1;
    }
  }
  int failed = join_relay(*engine, *relay, id);
  if (failed != 0) {
    engine->relays[id] = nullptr;
    engine->free_relays.push_back(id);
    delete relay;
    return call.answer(failed);
  }
  return call.answer(id);
}

// relayBytes(id, counts): counts[0] = to a, counts[1] = to b.
napi_value relay_bytes(napi_env env, napi_callback_info info) {
  Call call(env, info);
  Relay* relay = relay_of(static_cast<Engine*>(call.data), call.integer(0));
  Bytes counts = call.bytes(1);
  if (call.wrong || counts.length < 2 * sizeof(double)) return call.refuse();
  if (relay == nullptr) return call.answer(-EBADF);
  double* out = reinterpret_cast<double*>(counts.at);
  out[0] = static_cast<double>(relay->from[1].bytes);
  out[1] = static_cast<double>(relay->from[0].bytes);
  return call.answer(0);
}

// relayEnd(id, reset): stops it if it runs, and forgets it.
napi_value relay_end(napi_env env, napi_callback_info info) {
  Call call(env, info);
  Engine* engine = static_cast<Engine*>(call.data);
  int id = call.integer(0), reset = call.integer(1);
  Relay* relay = relay_of(engine, id);
  if (call.wrong || relay == nullptr) return call.answer(-EBADF);
  engine->end_relay(id, 0, reset != 0);
  delete engine->relays[id];
  engine->relays[id] = nullptr;
  engine->free_relays.push_back(id);
  return call.answer(0);
}

}  // namespace

namespace {

// relayBuckets(tokens): a number for each limit, what may still be read. Once.
napi_value relay_buckets(napi_env env, napi_callback_info info) {
  Call call(env, info);
  Engine* engine = static_cast<Engine*>(call.data);
  Bytes tokens = call.bytes(0);
  if (call.wrong || engine->closed || engine->bucket_memory != nullptr) return call.refuse();
  if (napi_create_reference(env, call.at[0], 1, &engine->bucket_memory) != napi_ok) return call.answer(-ENOMEM);
  engine->buckets = reinterpret_cast<double*>(tokens.at);
  engine->token_count = static_cast<int32_t>(tokens.length / sizeof(double));
  return call.answer(0);
}

// relayResume(): the buckets have been filled. What ends by it is told in a batch of its own. Not within a turn.
napi_value relay_resume(napi_env env, napi_callback_info info) {
  Call call(env, info);
  Engine* engine = static_cast<Engine*>(call.data);
  if (!engine->closed && engine->control[control::in_turn] == 0) {
    engine->resume_starved();
    if (!engine->closed) engine->deliver();
  }
  return call.answer(static_cast<int32_t>(engine->starved.size()));
}

}  // namespace

void export_relay(napi_env env, napi_value object, Engine* engine) {
  put(env, object, "relay", relay_start, engine);
  put(env, object, "relayBytes", relay_bytes, engine);
  put(env, object, "relayEnd", relay_end, engine);
  put(env, object, "relayBuckets", relay_buckets, engine);
  put(env, object, "relayResume", relay_resume, engine);
}

}  // namespace glassquid
