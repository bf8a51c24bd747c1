// Datagrams to a socket of the file system, which Node has no words for: the system's log.

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "engine.h"

namespace glassquid {
namespace {

// localOpen(path): a descriptor that never waits, connected to the datagram socket of that path; or minus errno.
napi_value local_open(napi_env env, napi_callback_info info) {
  Call call(env, info);
  Bytes path = call.bytes(0);
  if (call.wrong) return call.refuse();
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.length == 0 || path.length >= sizeof address.sun_path) return call.answer(-ENAMETOOLONG);
  memcpy(address.sun_path, path.at, path.length);
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return call.answer(-errno);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    int error = errno;
    ::close(fd);
    return call.answer(-error);
  }
  return call.answer(fd);
}

// localSend(fd, bytes): one datagram. The bytes it took, or minus errno; -EAGAIN when the reader is too slow.
napi_value local_send(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int fd = call.integer(0);
  Bytes bytes = call.bytes(1);
  if (call.wrong) return call.refuse();
  ssize_t sent = send(fd, bytes.at, bytes.length, MSG_NOSIGNAL | MSG_DONTWAIT);
  return call.answer(sent >= 0 ? static_cast<int32_t>(sent) : -errno);
}

// localClose(fd): of a descriptor no engine watches.
napi_value local_close(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int fd = call.integer(0);
  if (call.wrong) return call.refuse();
  return call.answer(::close(fd) == 0 ? 0 : -errno);
}

}  // namespace

void export_local(napi_env env, napi_value object) {
  put(env, object, "localOpen", local_open, nullptr);
  put(env, object, "localSend", local_send, nullptr);
  put(env, object, "localClose", local_close, nullptr);
}

}  // namespace glassquid
