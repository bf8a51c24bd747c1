#pragma once
// One engine: an epoll set of its own, watched by the event loop through a single uv_poll_t.
//
//   uv loop ──► turn.cc: epoll_wait(0)
//                 listeners ──► accept.cc: accept4 in batches, addresses into the slab
//                 streams   ──► recv into the slab
//                 relays    ──► relay.cc: splice, JavaScript is not asked
//               one call of onBatch(records) for all of it
//               output.cc: one sendmsg per connection, then the descriptors doomed in this turn are closed
//               lend.cc: of large content in memory made for it the pages, not a copy
//
// Who owns what: memory for slab, records, output, commands, results and control belongs to JavaScript and is held by
// references until the engine closes. Descriptors in a slot belong to the engine until released. Everything else hangs
// on this struct and is freed by Engine::dispose.

#include <node_api.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <uv.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "call.h"

namespace glassquid {

struct Instance;
struct Relay;
struct Datagrams;
struct Lent;

enum class Kind : uint8_t { none, listener, stream, connecting, plain, relayed, receiver, peer };

// Each way of a relay.
constexpr int kLimitsPerWay = 4;

constexpr uint8_t kReadable = 1;
constexpr uint8_t kWritable = 2;

struct Slot {
  Kind kind = Kind::none;
  // What epoll is asked for: kReadable | kWritable.
  uint8_t interest = 0;
  // In this flush the kernel did not take everything; what follows for the same descriptor must not overtake.
  bool blocked = false;
  // Its end was read in this turn; see Engine::ended.
  bool silenced = false;
  // JavaScript holds a rest for it.
  bool waiting = false;
  // Accepted in this turn and not in the epoll set yet: what is wanted of it by the end of the turn goes there, once.
  bool fresh = false;
  // Asked for everything, edge-triggered, though nobody reads it: `seen` keeps what was told, for the relay to come.
  bool edge = false;
  uint8_t seen = 0;
  // Listener: kAskOriginal | kAskLocal | kTaken. Relayed: which side. Receiver: kTellDrained.
  uint8_t flags = 0;
  // Stream: kReadMax is doubled so often for its next read.
  uint8_t doublings = 0;
  // Tells a late event for a closed descriptor from one for its successor with the same number.
  uint32_t generation = 0;
  // Its relay; while it is fresh, its listener.
  int32_t relay = -1;
};

// What a relay wants to know, of both sides, once (see relay.cc). Urgent data: see Relay::urgent.
constexpr uint32_t kEverything = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET;
// Slot::seen. FIN: it came, and no error.
constexpr uint8_t kSeenReadable = 1;
constexpr uint8_t kSeenWritable = 2;
constexpr uint8_t kSeenClosing = 4;
constexpr uint8_t kSeenFin = 8;
constexpr uint8_t kSeenUrgent = 16;
constexpr uint8_t kSeenReset = 32;
uint8_t seen_in(uint32_t events);

constexpr uint8_t kAskOriginal = 1;
constexpr uint8_t kAskLocal = 2;
// Others have the socket, too: it listens on when we have closed our descriptor.
constexpr uint8_t kTaken = 4;
constexpr uint8_t kTellDrained = 1;

// Records, four integers each: kind, fd, a, b.
namespace record {
constexpr int32_t data = 1;         // a, b: start and end in the slab
constexpr int32_t end = 2;          // the peer sent FIN
constexpr int32_t error = 3;        // a: errno
constexpr int32_t writable = 4;     //
constexpr int32_t accepted = 5;     // a: listener, b: offset of the addresses in the slab
constexpr int32_t accept_error = 6; // fd: listener, a: errno
constexpr int32_t connected = 7;    // a: errno or 0, b: offset of our address in the slab
constexpr int32_t ready = 8;        // a: kReadable | kWritable
constexpr int32_t relayed = 9;      // fd: relay id, a: errno or 0
constexpr int32_t datagram = 10;    // a, b: start and end in the datagram slab
constexpr int32_t datagram_error = 11;  // a: errno
constexpr int32_t drained = 12;     // a receiver has been read empty
}  // namespace record

// What accept writes to the slab: peer, local and original as sockaddr, then what SO_ORIGINAL_DST answered (the
// length, or minus errno; 0 = not asked).
constexpr size_t kAddress = 28;
constexpr size_t kAcceptBytes = 3 * kAddress + 4;

// One datagram's place: its head (see datagram.cc) and as much as UDP can carry. An odd number of cache lines, so that
// the beginnings of the slots do not compete for the same ones.
constexpr size_t kDatagramSlots = 64;
constexpr size_t kDatagramHead = 64;
constexpr size_t kDatagramSlot = kDatagramHead + 65536;
// original destination and packet information, of either family
constexpr size_t kDatagramControl = 128;
constexpr size_t kAddressBlock = kAddress + 20;

// Commands, four integers each: op, fd, x, y.
namespace command {
constexpr int32_t slab = 1;      // x: offset in the output slab, y: length
constexpr int32_t reference = 2; // x: index in refs, y: length
constexpr int32_t shutdown = 3;
constexpr int32_t datagram = 4;     // x, y as for slab: one datagram
constexpr int32_t datagram_in = 5;  // x: offset in the datagram slab, y: length
constexpr int32_t datagram_to = 6;  // x: offset of an address block in the output slab; the next command is the datagram
constexpr bool is_datagram(int32_t op) { return op >= datagram && op <= datagram_to; }
}  // namespace command

// The shared control block.
namespace control {
constexpr int in_turn = 0;
constexpr int commands = 1;
constexpr int references = 2;
constexpr int wants_flushed = 3; // call onFlushed after the flush even if every byte went
constexpr int acceptable = 4;    // how many connections may still be accepted
constexpr int lent = 5;          // bytes sockets took without a copy since JavaScript has set it to 0
constexpr int size = 8;
}  // namespace control

struct Engine {
  Instance* instance = nullptr;
  napi_env env = nullptr;

  int epoll = -1;
  uv_poll_t poll;
  bool polling = false;   // `poll` is initialised and not yet closed
  bool closed = false;

  std::vector<Slot> slots;
  int active = 0;
  // Their rest has gone in this turn: unless they have a new one when it is over, writability is not asked for any more.
  std::vector<int> drained;
  // Their input has ended in this turn: unless they are closed when it is over, they are not read any more.
  std::vector<int> ended;
  std::vector<int> fresh;  // accepted in this turn; see Slot::fresh
  std::vector<int> doomed;  // to be closed at the end of the turn; a reset is stored as ~fd

  Bytes slab;
  size_t slab_used = 0;
  Bytes output;
  int32_t* records = nullptr;
  int32_t records_max = 0;
  int32_t record_count = 0;
  int32_t* commands = nullptr;
  int32_t commands_max = 0;
  int32_t* results = nullptr;
  int32_t results_max = 0;
  int32_t* control = nullptr;

  napi_ref memory = nullptr;  // a JavaScript array of all the typed arrays above
  napi_ref references = nullptr;
  napi_ref on_batch = nullptr;
  napi_ref on_flushed = nullptr;

  Datagrams* datagrams = nullptr;  // what recvmmsg needs; with the first datagram socket
  Bytes datagram_slab;
  size_t datagrams_used = 0;
  napi_ref datagram_memory = nullptr;

  std::vector<Relay*> relays;  // index = relay id
  std::vector<int> free_relays;
  std::vector<int> joined;   // relays that may have something to move, though epoll will not say so
  std::vector<int> starved;  // relays that wait for their buckets, in the order to be served
  double* buckets = nullptr;  // JavaScript's: what may still be read, a number for each limit
  int32_t token_count = 0;
  napi_ref bucket_memory = nullptr;
  std::vector<int> free_pipes;  // read end, write end, read end ...

  Lent* lent = nullptr;            // the instance's
  int lending_pipe[2] = {-1, -1};  // empty between any two calls
  int nowhere = -1;                // /dev/null
  int sends_without_pipe = 0;      // that many more are copied, since there was no pipe large enough
  bool can_lend = true;

  // -- life (addon.cc)
  bool start(int* failed_errno);
  // Closes descriptors, stops watching. The struct itself lives until the environment goes: functions still hold it.
  void dispose();

  // -- slots (turn.cc)
  Slot* slot(int fd) {
    return fd >= 0 && static_cast<size_t>(fd) < slots.size() && slots[fd].kind != Kind::none ? &slots[fd] : nullptr;
  }
  Slot& slot_for(int fd);
  void place(Slot& slot, Kind kind, uint8_t interest);
  // 0 or minus errno.
  int watch(int fd, Kind kind, uint32_t events, uint8_t interest);
  // A stream that is watched from the end of the turn on.
  void place_fresh(int fd, int listener);
  void watch_fresh();
  void unwatch(int fd);
  int set_interest(int fd, uint8_t interest);
  void doom(int fd, bool reset);
  void close_doomed();

  // -- the turn (turn.cc)
  void turn();
  void step(const epoll_event& event);
  void receive(int fd, Slot& slot);
  void accept_batch(int fd, Slot& slot);  // accept.cc
  void finish_connect(int fd, Slot& slot, uint32_t events);
  bool room(int32_t records_wanted, size_t bytes_wanted) const;
  void add_record(int32_t kind, int32_t fd, int32_t a, int32_t b);
  void deliver();

  // -- output (lend.cc)
  // Whether the pages of these bytes may be given away.
  bool lends(const iovec& part) const;
  // Bytes taken, minus errno, or kNotLent: they have to be copied.
  ssize_t send_lent(int fd, const iovec& part, bool more);
  bool open_lending_pipe();
  void close_lending_pipe();
  void empty_lending_pipe(ssize_t left);

  // -- output (output.cc)
  // Bytes taken, 0 where there is no room, or minus errno.
  ssize_t send_parts(int fd, iovec* parts, size_t count);
  // Sends what `commands` lists; answers how many results there are.
  int32_t send_commands();
  // send_commands, onFlushed and close_doomed until nothing is left.
  void end_turn();
  void relax_drained();
  void silence_ended();
  void call(napi_ref function, int32_t count);

  // -- datagrams (datagram.cc)
  bool use_datagram_slab(Bytes slab_memory);
  void drop_datagrams();
  void receive_datagrams(int fd, Slot& slot, uint32_t events);
  int32_t send_datagrams(int32_t from, int32_t count, int32_t* dropped, int32_t* error);

  // -- relays (relay.cc)
  void pump(const Slot& at, uint32_t events);
  void pump_relay(int id, Relay* relay);
  void pump_joined();
  void resume_starved();
  void end_relay(int id, int error, bool reset);
};

// One read of a stream. A stream that fills it gets more the next time, up to four times as much: large content then
// costs fewer turns and wakes its sender less often. Whoever defers reading (a slow client behind it) begins anew, so
// that what has to be kept for it stays small.
constexpr size_t kReadMax = 64 * 1024;
constexpr uint8_t kDoublingsMax = 2;
constexpr int kEventsMax = 256;
// Less is copied: a pipe and pages cost two calls and more than the copy does.
constexpr size_t kLentMin = 32 * 1024;
constexpr ssize_t kNotLent = -4096;

void set_reset_on_close(int fd);
Lent* open_lent();
void leave_lent(Lent* lent);

// Each file exports its functions on the object JavaScript gets for an engine.
void export_turn(napi_env env, napi_value object, Engine* engine);
void export_socket(napi_env env, napi_value object, Engine* engine);
void export_output(napi_env env, napi_value object, Engine* engine);
void export_relay(napi_env env, napi_value object, Engine* engine);
void export_datagram(napi_env env, napi_value object, Engine* engine);
void export_file(napi_env env, napi_value object, Engine* engine);
// Functions that need no engine.
void export_kernel(napi_env env, napi_value object);
void export_netlink(napi_env env, napi_value object);
void export_local(napi_env env, napi_value object);
void export_memory(napi_env env, napi_value object);
void export_lend(napi_env env, napi_value object, Lent* lent);
void export_privileges(napi_env env, napi_value object);
void export_notify(napi_env env, napi_value object);

inline void put(napi_env env, napi_value object, const char* name, napi_callback callback, void* data) {
  napi_value function = nullptr;
  if (napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, data, &function) == napi_ok) {
    napi_set_named_property(env, object, name, function);
  }
}

}  // namespace glassquid
