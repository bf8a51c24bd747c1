// Accepting: as many as are waiting, within a bound, each with what has to be known about it. The look-up happens
// here because the kernel's answer is fixed at accept, and a second call from JavaScript per connection is saved.

#include <netinet/in.h>

#include <cstring>

#include "engine.h"

namespace glassquid {
namespace {

// The others wait for a turn at most; the listener is level-triggered.
constexpr int kAcceptsMax = 128;
constexpr int kSoOriginalDst = 80;  // SO_ORIGINAL_DST and IP6T_SO_ORIGINAL_DST

// The level follows the family on the wire: a v4-mapped peer on an IPv6 socket is known to the IPv4 tables only.
bool is_ipv4(const uint8_t* address) {
  sa_family_t family;
  memcpy(&family, address, sizeof family);
  if (family == AF_INET) return true;
  return family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(reinterpret_cast<const in6_addr*>(address + 8));
}

int32_t ask_original(int fd, const uint8_t* local, uint8_t* original) {
  bool ipv4 = is_ipv4(local);
  socklen_t length = ipv4 ? 16 : 28;
  int level = ipv4 ? static_cast<int>(SOL_IP) : static_cast<int>(SOL_IPV6);
  if (getsockopt(fd, level, kSoOriginalDst, original, &length) != 0) return -errno;
  return static_cast<int32_t>(length);
}

// The connection died between SYN and accept, or the network is in trouble: the next one may be fine (accept(2)).
bool passes(int error) {
  switch (error) {
    case ECONNABORTED:
    case EINTR:
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
    case EPERM:  // a firewall rule
      return true;
    default:
      return false;
  }
}

}  // namespace

void Engine::accept_batch(int listener, Slot& at) {
  const uint8_t flags = at.flags;  // `at` may move: watch() grows the table
  for (int i = 0; i < kAcceptsMax; i++) {
    if (!room(2, kAcceptBytes)) return;
    if (control[control::acceptable] <= 0) {  // errno 0: we may not, the listener has to pause
      add_record(record::accept_error, listener, 0, 0);
      return;
    }
    uint8_t* addresses = slab.at + slab_used;
    memset(addresses, 0, kAcceptBytes);
    socklen_t length = kAddress;
    int fd = accept4(listener, reinterpret_cast<sockaddr*>(addresses), &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EAGAIN) return;
      if (passes(errno)) continue;
      add_record(record::accept_error, listener, errno, 0);
      return;
    }
    uint8_t* local = addresses + kAddress;
    if (flags & (kAskLocal | kAskOriginal)) {
      length = kAddress;
      getsockname(fd, reinterpret_cast<sockaddr*>(local), &length);
    }
    int32_t answer = 0;
    if (flags & kAskOriginal) answer = ask_original(fd, local, local + kAddress);
    memcpy(addresses + 3 * kAddress, &answer, sizeof answer);

    place_fresh(fd, listener);
    control[control::acceptable]--;
    add_record(record::accepted, fd, listener, static_cast<int32_t>(slab_used));
    slab_used += kAcceptBytes;
  }
}

}  // namespace glassquid
