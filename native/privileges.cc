// Who this process is and what it may: users by name, giving up what only root may but for some capabilities, and the
// limits of the process. All of it is about the calling thread and what it starts from then on, users and groups about
// all threads; so these are called by the main thread, before it starts others that matter.

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>


#include "engine.h"

namespace glassquid {
namespace {

// findUser(name, ids): uid and gid into `ids`; 0 = found, -ENOENT = there is none.
napi_value find_user(napi_env env, napi_callback_info info) {
  Call call(env, info);
  char name[256];
  call.string(0, name);
  Bytes ids = call.bytes(1);
  if (call.wrong || ids.length < 2 * sizeof(uint32_t)) return call.refuse();
  errno = 0;
  passwd* found = getpwnam(name);
  if (found == nullptr) return call.answer(errno == 0 ? -ENOENT : -errno);
  uint32_t both[2] = {found->pw_uid, found->pw_gid};
  memcpy(ids.at, both, sizeof both);
  return call.answer(0);
}

// findGroup(name, ids): gid into `ids`.
napi_value find_group(napi_env env, napi_callback_info info) {
  Call call(env, info);
  char name[256];
  call.string(0, name);
  Bytes ids = call.bytes(1);
  if (call.wrong || ids.length < sizeof(uint32_t)) return call.refuse();
  errno = 0;
  group* found = getgrnam(name);
  if (found == nullptr) return call.answer(errno == 0 ? -ENOENT : -errno);
  uint32_t gid = found->gr_gid;
  memcpy(ids.at, &gid, sizeof gid);
  return call.answer(0);
}

int set_capabilities(uint32_t mask) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  data[0].effective = data[0].permitted = data[0].inheritable = mask;
  return static_cast<int>(syscall(SYS_capset, &header, data));
}

// become(user, uid, gid, ownGroups, capabilities): 0 or minus errno, and then some of it may have been done. With
// `ownGroups` the groups are those of the user, else `gid` alone. The capabilities (bits, the first 32) are kept, also by
// programs started from here until clearAmbient.
napi_value become(napi_env env, napi_callback_info info) {
  Call call(env, info);
  char user[256];
  call.string(0, user);
  uid_t uid = static_cast<uid_t>(call.number(1));
  gid_t gid = static_cast<gid_t>(call.number(2));
  int own_groups = call.integer(3);
  uint32_t keep = static_cast<uint32_t>(call.integer(4));
  if (call.wrong) return call.refuse();
  auto failed = [&call] { return call.answer(errno == 0 ? -EPERM : -errno); };
  if (own_groups ? initgroups(user, gid) != 0 : setgroups(1, &gid) != 0) return failed();
  for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++) {
    if (capability < 32 && (keep >> capability & 1)) continue;
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 && errno != EPERM) return failed();
  }
  if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) return failed();
  if (setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0) return failed();
  prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
  if (set_capabilities(keep) != 0) return failed();
  for (int capability = 0; capability < 32; capability++) {
    if ((keep >> capability & 1) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) != 0) return failed();
  }
  // the kernel takes the process's own /proc entries and its core from it; who has fewer capabilities cannot trace it
  prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
  return call.answer(0);
}

// clearAmbient(): programs started from here get no capabilities. 0 or minus errno.
napi_value clear_ambient(napi_env env, napi_callback_info info) {
  Call call(env, info);
  return call.answer(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0 ? 0 : -errno);
}

// noNewPrivileges(): no program started from here gets more than this process has, whatever its file says.
napi_value no_new_privileges(napi_env env, napi_callback_info info) {
  Call call(env, info);
  return call.answer(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? 0 : -errno);
}

// setLimit(descriptors | cores, value): the soft limit, and the hard one where it is lower. value < 0: as high as allowed.
napi_value set_limit(napi_env env, napi_callback_info info) {
  Call call(env, info);
  int which = call.integer(0);
  double value = call.number(1);
  if (call.wrong || (which != 0 && which != 1)) return call.refuse();
  auto resource = which == 0 ? RLIMIT_NOFILE : RLIMIT_CORE;
  rlimit limit{};
  if (getrlimit(resource, &limit) != 0) return call.answer(-errno);
  if (value < 0) {
    limit.rlim_cur = limit.rlim_max;
  } else {
    limit.rlim_cur = static_cast<rlim_t>(value);
    if (limit.rlim_max < limit.rlim_cur) limit.rlim_max = limit.rlim_cur;
  }
  return call.answer(setrlimit(resource, &limit) == 0 ? 0 : -errno);
}

}  // namespace

void export_privileges(napi_env env, napi_value object) {
  put(env, object, "findUser", find_user, nullptr);
  put(env, object, "findGroup", find_group, nullptr);
  put(env, object, "become", become, nullptr);
  put(env, object, "clearAmbient", clear_ambient, nullptr);
  put(env, object, "noNewPrivileges", no_new_privileges, nullptr);
  put(env, object, "setLimit", set_limit, nullptr);
}

}  // namespace glassquid
