// Sockets as they are opened here: every option before the call it matters for.
//
//   socket(NONBLOCK, CLOEXEC) → V6ONLY → REUSEADDR (→ REUSEPORT) → BINDTODEVICE → MARK → TOS → TRANSPARENT
//     → BIND_ADDRESS_NO_PORT → bind → NODELAY → listen | connect
//
// REUSEADDR also where REUSEPORT is: alone it fails while TIME_WAIT sockets hold the port. TRANSPARENT before bind:
// bind is what refuses a foreign address. BIND_ADDRESS_NO_PORT leaves the choice of port to connect, where it only has
// to be unique together with the target.

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "engine.h"

namespace glassquid {
namespace {

// Bits of `flags`; COMM_* values where there is one.
constexpr int kNoCloexec = 2;
constexpr int kReuseAddr = 4;
constexpr int kTransparent = 16 | 32;  // COMM_TPROXY_LCL, COMM_TPROXY_REM
constexpr int kReusePort = 64;
constexpr int kDualStack = 128;
constexpr int kBindNoPort = 256;
constexpr int kNoDelay = 512;
constexpr int kDatagram = 1024;
constexpr int kWritesFirst = 2048;

constexpr int kIpBindAddressNoPort = 24;
constexpr int kIpTransparent = 19;
constexpr int kIpv6Transparent = 75;

// Which call failed: answers are -(step * 4096 + errno). native/index.ts has the names in the same order.
enum Step { kSocket = 1, kV6Only, kReuse, kPort, kDevice, kMark, kTos, kForeign, kNoPort, kBind, kDelay, kListen,
            kConnect, kWatch, kName, kArrival, kTake };

int failure(Step step, int error) {
  return -(static_cast<int>(step) * 4096 + error);
}

struct Wanted {
  int family;  // 4 or 6
  int flags;
  Bytes bind_to;  // sockaddr; empty = not bound
  double mark;    // < 0 = none
  int tos;        // < 0 = none
  char device[16];
};

bool option(int fd, int level, int name, int value) {
  return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

// A descriptor, or a failure.
int open_socket(const Wanted& want) {
  const bool six = want.family == 6;
  const bool stream = !(want.flags & kDatagram);
  int type = (stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | (want.flags & kNoCloexec ? 0 : SOCK_CLOEXEC);
  int fd = socket(six ? AF_INET6 : AF_INET, type, 0);
  if (fd < 0) return failure(kSocket, errno);
  auto fail = [fd](Step step) {
    int error = errno;
    ::close(fd);
    return failure(step, error);
  };
  if (six && !option(fd, IPPROTO_IPV6, IPV6_V6ONLY, want.flags & kDualStack ? 0 : 1)) return fail(kV6Only);
  if ((want.flags & (kReuseAddr | kReusePort)) && !option(fd, SOL_SOCKET, SO_REUSEADDR, 1)) return fail(kReuse);
  if ((want.flags & kReusePort) && !option(fd, SOL_SOCKET, SO_REUSEPORT, 1)) return fail(kPort);
  if (want.device[0] != 0 &&
      setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, want.device, static_cast<socklen_t>(strlen(want.device))) != 0) {
    return fail(kDevice);
  }
  if (want.mark >= 0) {
    uint32_t mark = static_cast<uint32_t>(want.mark);
    if (setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark) != 0) return fail(kMark);
  }
  if (want.tos >= 0) {
    if (six && !option(fd, IPPROTO_IPV6, IPV6_TCLASS, want.tos)) return fail(kTos);
    // on a dual-stack socket IP_TOS is what IPv4 peers see
    if ((!six || (want.flags & kDualStack)) && !option(fd, IPPROTO_IP, IP_TOS, want.tos)) return fail(kTos);
  }
  if (want.flags & kTransparent) {
    bool done = six ? option(fd, IPPROTO_IPV6, kIpv6Transparent, 1) : option(fd, IPPROTO_IP, kIpTransparent, 1);
    if (!done) return fail(kForeign);
  }
  if (want.bind_to.length > 0) {
    if ((want.flags & kBindNoPort) && !option(fd, IPPROTO_IP, kIpBindAddressNoPort, 1)) return fail(kNoPort);
    if (bind(fd, reinterpret_cast<const sockaddr*>(want.bind_to.at), static_cast<socklen_t>(want.bind_to.length)) != 0) {
      return fail(kBind);
    }
  }
  if (stream && (want.flags & kNoDelay) && !option(fd, IPPROTO_TCP, TCP_NODELAY, 1)) return fail(kDelay);
  return fd;
}

// The first six arguments of open, dial and listen.
Wanted wanted(Call& call) {
  Wanted want{};
  want.family = call.integer(0);
  want.flags = call.integer(1);
  want.bind_to = call.bytes(2, true);
  want.mark = call.number(3);
  want.tos = call.integer(4);
  call.string(5, want.device);
  return want;
}

// open(family, flags, bindTo, mark, tos, device): a plain descriptor, watched for nothing.
napi_value open_plain(napi_env env, napi_callback_info info) {
  Call call(env, info);
  Engine* engine = static_cast<Engine*>(call.data);
  Wanted want = wanted(call);
  if (call.wrong) return call.refuse();
  if (engine->closed) return call.answer(failure(kSocket, EBADF));
  int fd = open_socket(want);
  if (fd < 0) return call.answer(fd);
  int failed = engine->watch(fd, Kind::plain, EPOLLET, 0);
  if (failed != 0) {
    ::close(fd);
    return call.answer(failure(kWatch, -failed));
  }
  return call.answer(fd);
}

// listen(family, flags, bindTo, mark, tos, device, backlog, asks): a listener, watched.
napi_value listen_on(napi_env env, napi_callback_info info) {
  Call call(env, info);
  Engine* engine = static_cast<Engine*>(call.data);
  Wanted want = wanted(call);
  int backlog = call.integer(6), asks = call.integer(7);
  if (call.wrong) return call.refuse();
  if (engine->closed) return call.answer(failure(kSocket, EBADF));
  int fd = open_socket(want);
  if (fd < 0) return call.answer(fd);
  if (::listen(fd, backlog) != 0) {
    int error = errno;
    ::close(fd);
    return call.answer(failure(kListen, error));
  }
  int failed = engine->watch(fd, Kind::listener, 0, kReadable);
  if (failed != 0) {
    ::close(fd);
    return call.answer(failure(kWatch, -failed));
  }
  engine->slots[fd].flags = static_cast<uint8_t>(asks);
  return call.answer(fd);
}

// takeListener(from, family, flags, backlog, asks): a listener that somebody else has opened, and keeps. Ours is a
// descriptor of its own for the same socket, so that closing it is no more than letting go.
napi_value take_listener(napi_env env, napi_callback_info info) {
  Call call(env, info);
  Engine* engine = static_cast<Engine*>(call.data);
  int from = call.integer(0), family = call.integer(1), flags = call.integer(2);
  int backlog = call.integer(3), asks = call.integer(4);
  if (call.wrong) return call.refuse();
  if (engine->closed) return call.answer(failure(kSocket, EBADF));
  int fd = fcntl(from, F_DUPFD_CLOEXEC, 3);
  if (fd < 0) return call.answer(failure(kTake, errno));
  auto fail = [fd, &call](Step step, int error) {
    ::close(fd);
    return call.answer(failure(step, error));
  };
  // of the socket, not of the descriptor: whoever else accepts from it must not be made to wait either
  int status = fcntl(fd, F_GETFL);
  if (status < 0 || fcntl(fd, F_SETFL, status | O_NONBLOCK) != 0) return fail(kTake, errno);
  if (flags & kTransparent) {
    bool done = family == 6 ? option(fd, IPPROTO_IPV6, kIpv6Transparent, 1) : option(fd, IPPROTO_IP, kIpTransparent, 1);
    if (!done) return fail(kForeign, errno);
  }
  if ((flags & kNoDelay) && !option(fd, IPPROTO_TCP, TCP_NODELAY, 1)) return fail(kDelay, errno);
  if (::listen(fd, backlog) != 0) return fail(kListen, errno);
  int failed = engine->watch(fd, Kind::listener, 0, kReadable);
  if (failed != 0) return fail(kWatch, -failed);
  engine->slots[fd].flags = static_cast<uint8_t>(asks) | kTaken;
  return call.answer(fd);
}

// dial(family, flags, bindTo, mark, tos, device, target): connecting; a `connected` record follows.
napi_value dial(napi_env env, napi_callback_info info) {
  Call call(env, info);
  Engine* engine = static_cast<Engine*>(call.data);
  Wanted want = wanted(call);
  Bytes target = call.bytes(6);
  if (call.wrong) return call.refuse();
  if (engine->closed) return call.answer(failure(kSocket, EBADF));
  int fd = open_socket(want);
  if (fd < 0) return call.answer(fd);
  // A wish. Bytes follow at once and carry the last ACK of the handshake; without them it comes after 200 ms at most.
  if (want.flags & kWritesFirst) option(fd, IPPROTO_TCP, TCP_QUICKACK, 0);
  int status = connect(fd, reinterpret_cast<const sockaddr*>(target.at), static_cast<socklen_t>(target.length));
  if (status != 0 && errno != EINPROGRESS) {
    int error = errno;
    ::close(fd);
    return call.answer(failure(kConnect, error));
  }
  int failed = engine->watch(fd, Kind::connecting, kEverything, kWritable);
  if (failed != 0) {
    ::close(fd);
    return call.answer(failure(kWatch, -failed));
  }
  return call.answer(fd);
}

// Answers of datagram sockets as they were sent: never marked "do not fragment", so that a path with a small MTU cuts
// them; IPv4's own look-ups are left out, since a forged ICMP could shrink them (IP_PMTUDISC_OMIT). IPv6 has no cutting on
// the way: the kernel's look-ups stay.
constexpr int kPmtuOmit = 5;
constexpr int kIpRecvOrigDstAddr = 20;
constexpr int kIpv6RecvOrigDstAddr = 74;
constexpr int kIpPktInfo = 8;
constexpr int kIpv6RecvPktInfo = 49;

// receive(family, flags, bindTo, mark, tos, device, bufferBytes, mask): a receiver; `mask` 0: not read yet.
napi_value receive_on(napi_env env, napi_callback_info info) {
  Call call(env, info);
  Engine* engine = static_cast<Engine*>(call.data);
  Wanted want = wanted(call);
  int buffer = call.integer(6), mask = call.integer(7);
  if (call.wrong) return call.refuse();
  if (engine->closed || engine->datagrams == nullptr) return call.answer(failure(kSocket, EBADF));
  want.flags |= kDatagram;
  int fd = open_socket(want);
  if (fd < 0) return call.answer(fd);
  const bool six = want.family == 6;
  bool told = six ? option(fd, IPPROTO_IPV6, kIpv6RecvOrigDstAddr, 1) : option(fd, IPPROTO_IP, kIpRecvOrigDstAddr, 1);
  if (!told) {
    int error = errno;
    ::close(fd);
    return call.answer(failure(kArrival, error));
  }
  // by which interface each came: a wish, rules about interfaces do not match without
  if (six) option(fd, IPPROTO_IPV6, kIpv6RecvPktInfo, 1);
  else option(fd, IPPROTO_IP, kIpPktInfo, 1);
  if (!six) option(fd, IPPROTO_IP, IP_MTU_DISCOVER, kPmtuOmit);
  if (buffer > 0) {  // wishes: net.core.rmem_max caps what needs no privilege
    if (!option(fd, SOL_SOCKET, SO_RCVBUFFORCE, buffer)) option(fd, SOL_SOCKET, SO_RCVBUF, buffer);
  }
  int failed = engine->watch(fd, Kind::receiver, 0, static_cast<uint8_t>(mask));
  if (failed != 0) {
    ::close(fd);
    return call.answer(failure(kWatch, -failed));
  }
  return call.answer(fd);
}

// peer(family, flags, bindTo, mark, tos, device, target, local): connected, read; its own address is written to `local`.
napi_value open_peer(napi_env env, napi_callback_info info) {
  Call call(env, info);
  Engine* engine = static_cast<Engine*>(call.data);
  Wanted want = wanted(call);
  Bytes target = call.bytes(6), local = call.bytes(7);
  if (call.wrong || local.length < kAddress) return call.refuse();
  if (engine->closed || engine->datagrams == nullptr) return call.answer(failure(kSocket, EBADF));
  want.flags |= kDatagram;
  int fd = open_socket(want);
  if (fd < 0) return call.answer(fd);
  auto fail = [fd, &call](Step step, int error) {
    ::close(fd);
    return call.answer(failure(step, error));
  };
  const bool six = want.family == 6;
  // every ICMP error, not only port unreachable
  bool told = six ? option(fd, IPPROTO_IPV6, IPV6_RECVERR, 1) : option(fd, IPPROTO_IP, IP_RECVERR, 1);
  if (!told) return fail(kArrival, errno);
  if (!six) option(fd, IPPROTO_IP, IP_MTU_DISCOVER, kPmtuOmit);
  if (connect(fd, reinterpret_cast<const sockaddr*>(target.at), static_cast<socklen_t>(target.length)) != 0) {
    return fail(kConnect, errno);
  }
  memset(local.at, 0, kAddress);
  socklen_t length = kAddress;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(local.at), &length) != 0) return fail(kName, errno);
  int failed = engine->watch(fd, Kind::peer, 0, kReadable);
  if (failed != 0) return fail(kWatch, -failed);
  return call.answer(fd);
}

}  // namespace

void export_socket(napi_env env, napi_value object, Engine* engine) {
  put(env, object, "open", open_plain, engine);
  put(env, object, "listen", listen_on, engine);
  put(env, object, "takeListener", take_listener, engine);
  put(env, object, "dial", dial, engine);
  put(env, object, "receive", receive_on, engine);
  put(env, object, "peer", open_peer, engine);
}

}  // namespace glassquid
