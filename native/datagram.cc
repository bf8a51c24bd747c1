// Datagrams. Two kinds of sockets:
//
//   receiver   not connected; every datagram comes with who sent it and where it was going (the packet's own
//              destination, also when TPROXY brought it here). Answers leave from here too.
//   peer       connected to one server; the kernel keeps strangers out and tells us of ICMP errors.
//
//   recvmmsg ──► slots of the datagram slab ──► one onBatch for all ──► commands ──► sendmmsg, a run per descriptor
//
//   slot:   client sockaddr 28 | destination sockaddr 28 | hash 4 | interface 4 || datagram, up to 65536
//
// The hash is keyed: who chooses addresses cannot choose what meets in a table. It is made here because the bytes are at
// hand; the table is JavaScript's. A datagram can be passed on from where it lies, without a copy, within the batch.

#include <netinet/in.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <linux/errqueue.h>

#include <cstring>

#include "engine.h"

namespace glassquid {

// Everything recvmmsg writes to, set up once: slot i always goes with message i.
struct Datagrams {
  mmsghdr messages[kDatagramSlots];
  iovec parts[kDatagramSlots];
  alignas(cmsghdr) uint8_t control[kDatagramSlots][kDatagramControl];
  uint64_t key[2];
};

namespace {

constexpr int kIpRecvOrigDstAddr = 20;
constexpr int kIpv6RecvOrigDstAddr = 74;
constexpr int kPeerBatch = 8;
constexpr int kSendBatch = 64;

uint64_t turned(uint64_t x, int by) { return (x << by) | (x >> (64 - by)); }

struct Sip {
  uint64_t a, b, c, d;
  void round() {
    a += b; b = turned(b, 13); b ^= a; a = turned(a, 32);
    c += d; d = turned(d, 16); d ^= c;
    a += d; d = turned(d, 21); d ^= a;
    c += b; b = turned(b, 17); b ^= c; c = turned(c, 32);
  }
};

// SipHash-1-3 (Aumasson, Bernstein 2012) of the two addresses.
uint32_t keyed_hash(const uint64_t key[2], const uint8_t* bytes) {
  constexpr size_t words = 2 * kAddress / 8;
  Sip s{key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d, key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573};
  for (size_t i = 0; i < words; i++) {
    uint64_t word;
    memcpy(&word, bytes + 8 * i, 8);
    s.d ^= word;
    s.round();
    s.a ^= word;
  }
  constexpr uint64_t length = static_cast<uint64_t>(2 * kAddress) << 56;
  s.d ^= length;
  s.round();
  s.a ^= length;
  s.c ^= 0xff;
  s.round();
  s.round();
  s.round();
  return static_cast<uint32_t>(s.a ^ s.b ^ s.c ^ s.d);
}

// Equal ends are equal bytes: nothing of an older datagram behind a short address, no flow label.
void tidy(uint8_t* address, socklen_t length) {
  if (length < kAddress) memset(address + length, 0, kAddress - length);
  if (length == sizeof(sockaddr_in6)) memset(address + 4, 0, 4);
}

// Where it was going, and the index of the interface it came in by (0: not told).
void read_control(msghdr& message, uint8_t* destination, uint32_t* interface) {
  bool found = false;
  *interface = 0;
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    const bool four = c->cmsg_level == SOL_IP && c->cmsg_type == kIpRecvOrigDstAddr;
    const bool six = c->cmsg_level == SOL_IPV6 && c->cmsg_type == kIpv6RecvOrigDstAddr;
    if (four || six) {
      socklen_t length = four ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
      memcpy(destination, CMSG_DATA(c), length);
      tidy(destination, length);
      found = true;
    } else if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_PKTINFO) {
      in_pktinfo info;
      memcpy(&info, CMSG_DATA(c), sizeof info);
      *interface = static_cast<uint32_t>(info.ipi_ifindex);
    } else if (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info;
      memcpy(&info, CMSG_DATA(c), sizeof info);
      *interface = info.ipi6_ifindex;
    }
  }
  if (!found) memset(destination, 0, kAddress);
}

// What the network said of datagrams sent before: the last error that concerns the peer, or 0. EMSGSIZE is about one
// datagram; the kernel has noted the path's MTU and cuts the next ones.
int read_errors(int fd) {
  int found = 0;
  for (int i = 0; i < 16; i++) {
    uint8_t room[256];
    msghdr message{};
    message.msg_control = room;
    message.msg_controllen = sizeof room;
    if (recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) break;
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
      if (!(c->cmsg_level == SOL_IP && c->cmsg_type == IP_RECVERR) &&
          !(c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_RECVERR)) {
        continue;
      }
      sock_extended_err error;
      memcpy(&error, CMSG_DATA(c), sizeof error);
      if (error.ee_errno != EMSGSIZE) found = static_cast<int>(error.ee_errno);
    }
  }
  return found;
}

int pending_error(int fd) {
  int error = 0;
  socklen_t length = sizeof error;
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 ? error : errno;
}

}  // namespace

// The slab is JavaScript's, as the others are; it comes with the first datagram socket.
bool Engine::use_datagram_slab(Bytes slab_memory) {
  if (datagrams != nullptr) return true;
  if (slab_memory.length < kDatagramSlots * kDatagramSlot) return false;
  Datagrams* made = new Datagrams();
  if (getrandom(made->key, sizeof made->key, 0) != static_cast<ssize_t>(sizeof made->key)) {
    delete made;
    return false;
  }
  for (size_t i = 0; i < kDatagramSlots; i++) {
    uint8_t* at = slab_memory.at + i * kDatagramSlot;
    made->parts[i] = {at + kDatagramHead, kDatagramSlot - kDatagramHead};
    msghdr& message = made->messages[i].msg_hdr;
    message.msg_name = at;
    message.msg_namelen = kAddress;
    message.msg_iov = &made->parts[i];
    message.msg_iovlen = 1;
    message.msg_control = made->control[i];
    message.msg_controllen = kDatagramControl;
  }
  datagrams = made;
  datagram_slab = slab_memory;
  return true;
}

void Engine::drop_datagrams() {
  delete datagrams;
  datagrams = nullptr;
}

void Engine::receive_datagrams(int fd, Slot& at, uint32_t events) {
  const bool peer = at.kind == Kind::peer;
  if (peer && (events & EPOLLERR)) {
    int error = read_errors(fd);
    if (error == 0) error = pending_error(fd);
    if (error != 0 && error != EMSGSIZE) add_record(record::datagram_error, fd, error, 0);
  }
  if (!(events & EPOLLIN) || !(at.interest & kReadable)) return;
  size_t free = kDatagramSlots - datagrams_used;
  const unsigned wanted = static_cast<unsigned>(peer && free > kPeerBatch ? kPeerBatch : free);
  mmsghdr* messages = datagrams->messages + datagrams_used;
  int got = recvmmsg(fd, messages, wanted, MSG_DONTWAIT, nullptr);
  if (got < 0) {
    if (errno == EAGAIN || errno == EINTR) got = 0;
    else if (peer) return add_record(record::datagram_error, fd, errno, 0);
    else return;  // a receiver has many peers: an error of one is not its own
  }
  for (int i = 0; i < got; i++) {
    msghdr& message = messages[i].msg_hdr;
    uint8_t* head = static_cast<uint8_t*>(message.msg_name);
    tidy(head, message.msg_namelen);
    uint32_t hash = 0, interface = 0;
    if (!peer) {
      read_control(message, head + kAddress, &interface);
      hash = keyed_hash(datagrams->key, head);
    }
    memcpy(head + 2 * kAddress, &hash, sizeof hash);
    memcpy(head + 2 * kAddress + 4, &interface, sizeof interface);
    int32_t start = static_cast<int32_t>((datagrams_used + static_cast<size_t>(i)) * kDatagramSlot + kDatagramHead);
    // MSG_TRUNC cannot be: no UDP datagram is larger than a slot
    add_record(record::datagram, fd, start, start + static_cast<int32_t>(messages[i].msg_len));
    message.msg_namelen = kAddress;
    message.msg_controllen = kDatagramControl;
    message.msg_flags = 0;
  }
  datagrams_used += static_cast<size_t>(got);
  if (at.flags & kTellDrained && static_cast<unsigned>(got) < wanted) {
    at.flags &= static_cast<uint8_t>(~kTellDrained);
    add_record(record::drained, fd, 0, 0);
  }
}

namespace {

// One datagram to send, and what sendmmsg needs for it.
struct Outgoing {
  iovec part;
  alignas(cmsghdr) uint8_t control[CMSG_SPACE(sizeof(in6_pktinfo))];
};

// address block: sockaddr 28 | 0, 4 or 6 | address of ours to send from, 16
bool address_message(msghdr& message, Outgoing& out, const uint8_t* block) {
  sa_family_t family;
  memcpy(&family, block, sizeof family);
  message.msg_name = const_cast<uint8_t*>(block);
  message.msg_namelen = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  int32_t from;
  memcpy(&from, block + kAddress, sizeof from);
  if (from == 0) return true;
  const uint8_t* source = block + kAddress + 4;
  message.msg_control = out.control;
  memset(out.control, 0, sizeof out.control);
  auto* c = reinterpret_cast<cmsghdr*>(out.control);
  if (from == 4) {
    in_pktinfo info{};
    memcpy(&info.ipi_spec_dst, source, 4);
    c->cmsg_level = SOL_IP;
    c->cmsg_type = IP_PKTINFO;
    c->cmsg_len = CMSG_LEN(sizeof info);
    memcpy(CMSG_DATA(c), &info, sizeof info);
    message.msg_controllen = CMSG_SPACE(sizeof info);
  } else if (from == 6) {
    in6_pktinfo info{};
    memcpy(&info.ipi6_addr, source, 16);
    c->cmsg_level = SOL_IPV6;
    c->cmsg_type = IPV6_PKTINFO;
    c->cmsg_len = CMSG_LEN(sizeof info);
    memcpy(CMSG_DATA(c), &info, sizeof info);
    message.msg_controllen = CMSG_SPACE(sizeof info);
  } else {
    return false;
  }
  return true;
}

}  // namespace

// Commands [i, ...) for one descriptor, as many as go in one call. Answers where to go on. What cannot be sent is
// dropped, as a router drops it: `dropped` counts, `error` is the first thing the kernel said.
int32_t Engine::send_datagrams(int32_t i, int32_t count, int32_t* dropped, int32_t* error) {
  mmsghdr messages[kSendBatch];
  Outgoing outgoing[kSendBatch];
  const int fd = commands[4 * i + 1];
  unsigned used = 0;
  while (i < count && used < kSendBatch) {
    const int32_t* at = commands + 4 * i;
    if (at[1] != fd || !command::is_datagram(at[0])) break;
    mmsghdr& next = messages[used];
    memset(&next, 0, sizeof next);
    bool good = true;
    if (at[0] == command::datagram_to) {
      size_t offset = static_cast<uint32_t>(at[2]);
      if (++i >= count || offset > output.length || output.length - offset < kAddressBlock) break;
      good = address_message(next.msg_hdr, outgoing[used], output.at + offset);
      at += 4;
      if (at[1] != fd) break;
    }
    const Bytes& from = at[0] == command::datagram_in ? datagram_slab : output;
    size_t offset = static_cast<uint32_t>(at[2]), length = static_cast<uint32_t>(at[3]);
    good = good && (at[0] == command::datagram || at[0] == command::datagram_in) && offset <= from.length &&
           length <= from.length - offset;
    i++;
    if (!good) continue;
    outgoing[used].part = {from.at + offset, length};
    next.msg_hdr.msg_iov = &outgoing[used].part;
    next.msg_hdr.msg_iovlen = 1;
    used++;
  }
  Slot* target = slot(fd);
  if (target == nullptr || (target->kind != Kind::peer && target->kind != Kind::receiver)) return i;  // closed meanwhile
  // One error that came back for an earlier datagram is told by the call for the next one, which is then not sent:
  // that one is tried again.
  bool again = true;
  for (unsigned done = 0; done < used;) {
    int sent = sendmmsg(fd, messages + done, used - done, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) {
      done += static_cast<unsigned>(sent);
      again = true;
      continue;
    }
    if (errno == EINTR) continue;
    if (*error == 0) *error = errno;
    if (errno == EAGAIN || errno == ENOBUFS) {
      *dropped += static_cast<int32_t>(used - done);
      break;
    }
    if (again && target->kind == Kind::peer) {
      again = false;
      continue;
    }
    again = true;
    done++;
    ++*dropped;
  }
  return i;
}

namespace {

// useDatagrams(slab): before the first socket. 0 or minus errno.
napi_value use_datagrams(napi_env env, napi_callback_info info) {
  Call call(env, info);
  Engine* engine = static_cast<Engine*>(call.data);
  Bytes slab = call.bytes(0);
  if (call.wrong) return call.refuse();
  if (engine->closed) return call.answer(-EBADF);
  if (engine->datagrams != nullptr) return call.answer(0);
  if (napi_create_reference(env, call.at[0], 1, &engine->datagram_memory) != napi_ok) return call.answer(-ENOMEM);
  return call.answer(engine->use_datagram_slab(slab) ? 0 : -EINVAL);
}

// tellDrained(fd): 1 if there is nothing to read now, else 0 and a `drained` record follows when it has been read empty.
napi_value tell_drained(napi_env env, napi_callback_info info) {
  Call call(env, info);
  Engine* engine = static_cast<Engine*>(call.data);
  int fd = call.integer(0);
  Slot* found = engine->slot(fd);
  if (call.wrong || found == nullptr || found->kind != Kind::receiver) return call.answer(-EBADF);
  char unread;
  if (recv(fd, &unread, 1, MSG_PEEK | MSG_DONTWAIT) < 0) return call.answer(1);
  found->flags |= kTellDrained;
  return call.answer(0);
}

// hashAddresses(bytes): what the hash of a datagram with these two addresses (56 bytes) is.
napi_value hash_addresses(napi_env env, napi_callback_info info) {
  Call call(env, info);
  Engine* engine = static_cast<Engine*>(call.data);
  Bytes both = call.bytes(0);
  if (call.wrong || both.length < 2 * kAddress || engine->datagrams == nullptr) return call.refuse();
  return call.answer(static_cast<int32_t>(keyed_hash(engine->datagrams->key, both.at)));
}

}  // namespace

void export_datagram(napi_env env, napi_value object, Engine* engine) {
  put(env, object, "useDatagrams", use_datagrams, engine);
  put(env, object, "tellDrained", tell_drained, engine);
  put(env, object, "hashAddresses", hash_addresses, engine);
}

}  // namespace glassquid
