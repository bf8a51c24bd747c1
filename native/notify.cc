// A datagram to a Unix socket, which Node cannot send: how a service manager is told (sd_notify).

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>

#include "engine.h"

namespace glassquid {
namespace {

// notify(path, bytes): 0 or minus errno. A path that begins with @ is an abstract one. Never waits.
napi_value notify(napi_env env, napi_callback_info info) {
  Call call(env, info);
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  call.string(0, to.sun_path);
  Bytes bytes = call.bytes(1);
  if (call.wrong) return call.refuse();
  size_t length = strlen(to.sun_path);
  if (length == 0 || (to.sun_path[0] != '/' && to.sun_path[0] != '@')) return call.answer(-EINVAL);
  if (to.sun_path[0] == '@') to.sun_path[0] = 0;
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return call.answer(-errno);
  socklen_t size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  ssize_t sent = sendto(fd, bytes.at, bytes.length, MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&to), size);
  int error = sent < 0 ? errno : 0;
  ::close(fd);
  return call.answer(-error);
}

}  // namespace

void export_notify(napi_env env, napi_value object) { put(env, object, "notify", notify, nullptr); }

}  // namespace glassquid
