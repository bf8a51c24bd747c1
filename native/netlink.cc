// Netlink: datagrams to and from the kernel itself. What they say is packed and read by the TypeScript side.

#include <linux/netlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "engine.h"

namespace glassquid {
namespace {

// netlinkOpen(protocol, groups): a descriptor that hears what these groups are told, or minus errno.
napi_value netlink_open(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int protocol = call.integer(0);
  double groups = call.number(1);
  if (call.wrong) return call.refuse();
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
  if (fd < 0) return call.answer(-errno);
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = static_cast<uint32_t>(groups);
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    int error = errno;
    ::close(fd);
    return call.answer(-error);
  }
  return call.answer(fd);
}

// netlinkSend(fd, bytes): to the kernel. The bytes it took, or minus errno.
napi_value netlink_send(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int fd = call.integer(0);
  Bytes bytes = call.bytes(1);
  if (call.wrong) return call.refuse();
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  ssize_t sent = sendto(fd, bytes.at, bytes.length, 0, reinterpret_cast<sockaddr*>(&kernel), sizeof kernel);
  return call.answer(sent >= 0 ? static_cast<int32_t>(sent) : -errno);
}

// netlinkReceive(fd, buffer): one datagram. Its length; -EMSGSIZE when it did not fit, -EAGAIN when there is none,
// -ENOBUFS when some were lost since the last call. Those of other processes are passed over: only the kernel is asked.
napi_value netlink_receive(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int fd = call.integer(0);
  Bytes buffer = call.bytes(1);
  if (call.wrong) return call.refuse();
  for (int tries = 0; tries < 16; tries++) {
    sockaddr_nl from{};
    socklen_t length = sizeof from;
    ssize_t got = recvfrom(fd, buffer.at, buffer.length, MSG_TRUNC, reinterpret_cast<sockaddr*>(&from), &length);
    if (got < 0) return call.answer(-errno);
    if (from.nl_pid != 0) continue;
    return call.answer(static_cast<size_t>(got) > buffer.length ? -EMSGSIZE : static_cast<int32_t>(got));
  }
  return call.answer(-EAGAIN);
}

// netlinkClose(fd): of a descriptor no engine watches.
napi_value netlink_close(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int fd = call.integer(0);
  if (call.wrong) return call.refuse();
  return call.answer(::close(fd) == 0 ? 0 : -errno);
}

}  // namespace

void export_netlink(napi_env env, napi_value object) {
  put(env, object, "netlinkOpen", netlink_open, nullptr);
  put(env, object, "netlinkSend", netlink_send, nullptr);
  put(env, object, "netlinkReceive", netlink_receive, nullptr);
  put(env, object, "netlinkClose", netlink_close, nullptr);
}

}  // namespace glassquid
