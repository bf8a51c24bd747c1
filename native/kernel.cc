// System calls on a bare descriptor, as they are: values in, a value or minus errno out. Who may call them with which
// descriptor is decided by the TypeScript side.

#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <cstring>

#include "engine.h"

namespace glassquid {
namespace {

// ioctl(fd, request, buffer, offsets, views): writes the address of views[i] into buffer at offsets[i] first, in this
// machine's own pointer format. The arguments keep all of the memory in place for the length of the call.
napi_value ioctl_call(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int fd = call.integer(0);
  double request = call.number(1);
  Bytes buffer = call.bytes(2);
  Bytes offsets = call.bytes(3);  // Int32Array
  uint32_t count = 0;
  if (call.wrong || call.count < 5 || napi_get_array_length(env, call.at[4], &count) != napi_ok ||
      offsets.length != count * sizeof(int32_t)) {
    return call.refuse();
  }
  for (uint32_t i = 0; i < count; i++) {
    int32_t at;
    memcpy(&at, offsets.at + i * sizeof at, sizeof at);
    napi_value view = nullptr;
    napi_typedarray_type type;
    size_t length = 0;
    void* memory = nullptr;
    if (napi_get_element(env, call.at[4], i, &view) != napi_ok ||
        napi_get_typedarray_info(env, view, &type, &length, &memory, nullptr, nullptr) != napi_ok || at < 0 ||
        buffer.length < sizeof memory || static_cast<size_t>(at) > buffer.length - sizeof memory) {
      return call.refuse();
    }
    memcpy(buffer.at + at, &memory, sizeof memory);
  }
  // unsigned on purpose: a sign-extended request is another one on the BSDs
  int result = ::ioctl(fd, static_cast<unsigned long>(static_cast<uint32_t>(request)), buffer.at);
  return call.answer(result >= 0 ? result : -errno);
}

// getOption(fd, level, name, buffer): the length the kernel tells.
napi_value get_option(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int fd = call.integer(0), level = call.integer(1), name = call.integer(2);
  Bytes buffer = call.bytes(3);
  if (call.wrong) return call.refuse();
  socklen_t length = static_cast<socklen_t>(buffer.length);
  return call.answer(getsockopt(fd, level, name, buffer.at, &length) == 0 ? static_cast<int32_t>(length) : -errno);
}

napi_value set_option(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int fd = call.integer(0), level = call.integer(1), name = call.integer(2);
  Bytes buffer = call.bytes(3);
  if (call.wrong) return call.refuse();
  return call.answer(setsockopt(fd, level, name, buffer.at, static_cast<socklen_t>(buffer.length)) == 0 ? 0 : -errno);
}

template <int (*Ask)(int, sockaddr*, socklen_t*)>
napi_value ask_name(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int fd = call.integer(0);
  Bytes buffer = call.bytes(1);
  if (call.wrong || buffer.length < kAddress) return call.refuse();
  socklen_t length = static_cast<socklen_t>(buffer.length);
  int status = Ask(fd, reinterpret_cast<sockaddr*>(buffer.at), &length);
  return call.answer(status == 0 ? static_cast<int32_t>(length) : -errno);
}

int get_own_name(int fd, sockaddr* address, socklen_t* length) { return getsockname(fd, address, length); }
int get_peer_name(int fd, sockaddr* address, socklen_t* length) { return getpeername(fd, address, length); }

// The soft limit of open descriptors; 0 if it cannot be told.
napi_value descriptor_limit(napi_env env, napi_callback_info info) {
  Call call(env, info);
  rlimit limit{};
  int known = getrlimit(RLIMIT_NOFILE, &limit) == 0;
  constexpr rlim_t most = 1 << 30;
  return call.answer(known ? static_cast<int32_t>(limit.rlim_cur < most ? limit.rlim_cur : most) : 0);
}

// readCached(fd, buffer, position): what of it the page cache holds at this moment, without waiting for a disk. Bytes read
// (0 = the end), or minus errno: EAGAIN when it would have to wait, EOPNOTSUPP where the file system cannot tell.
napi_value read_cached(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int fd = call.integer(0);
  Bytes buffer = call.bytes(1);
  double position = call.number(2);
  if (call.wrong != 0) return call.refuse();
  constexpr size_t most = 1 << 30;
  iovec part{buffer.at, buffer.length < most ? buffer.length : most};
  ssize_t got = preadv2(fd, &part, 1, static_cast<off_t>(position), RWF_NOWAIT);
  return call.answer(got < 0 ? -errno : static_cast<int32_t>(got));
}

}  // namespace

void export_kernel(napi_env env, napi_value object) {
  put(env, object, "ioctl", ioctl_call, nullptr);
  put(env, object, "getOption", get_option, nullptr);
  put(env, object, "setOption", set_option, nullptr);
  put(env, object, "getsockname", ask_name<get_own_name>, nullptr);
  put(env, object, "getpeername", ask_name<get_peer_name>, nullptr);
  put(env, object, "descriptorLimit", descriptor_limit, nullptr);
  put(env, object, "readCached", read_cached, nullptr);
}

}  // namespace glassquid
