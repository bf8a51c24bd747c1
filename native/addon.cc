// The module: what is exported, and the life of engines within one environment (the main thread or a worker).
//
// An environment may go at any moment (worker.terminate). Its cleanup hook disposes every engine, waits until the
// event loop has let go of their uv handles, and frees. Nothing else frees an engine.

#include <unistd.h>

#include <memory>

#include "engine.h"

namespace glassquid {

// Raised together with `revision` in index.ts whenever what the two sides agree on changes.
constexpr int32_t kRevision = 10;

struct Instance {
  std::vector<std::unique_ptr<Engine>> engines;
  int handles = 0;  // uv handles open or closing
  napi_async_cleanup_hook_handle hook = nullptr;
  bool leaving = false;
  Lent* lent = open_lent();

  ~Instance() { leave_lent(lent); }

  void free_when_quiet() {
    if (!leaving || handles > 0) return;
    napi_async_cleanup_hook_handle last = hook;
    delete this;
    napi_remove_async_cleanup_hook(last);
  }
};

namespace {

void on_poll(uv_poll_t* handle, int, int) {
  static_cast<Engine*>(handle->data)->turn();
}

void on_closed(uv_handle_t* handle) {
  Engine* engine = static_cast<Engine*>(handle->data);
  engine->polling = false;
  engine->instance->handles--;
  engine->instance->free_when_quiet();
}

void leave(napi_async_cleanup_hook_handle, void* data) {
  Instance* instance = static_cast<Instance*>(data);
  instance->leaving = true;
  for (auto& engine : instance->engines) engine->dispose();
  instance->free_when_quiet();
}

}  // namespace

bool Engine::start(int* failed_errno) {
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) {
    *failed_errno = EINVAL;
    return false;
  }
  epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) {
    *failed_errno = errno;
    return false;
  }
  int status = uv_poll_init(loop, &poll, epoll);
  if (status == 0) {
    poll.data = this;
    polling = true;
    instance->handles++;
    status = uv_poll_start(&poll, UV_READABLE, on_poll);
  }
  if (status != 0) {
    *failed_errno = -status;
    dispose();
    return false;
  }
  uv_unref(reinterpret_cast<uv_handle_t*>(&poll));  // watched descriptors keep the loop alive, not the engine
  return true;
}

void Engine::dispose() {
  if (closed) return;
  closed = true;
  for (size_t id = 0; id < relays.size(); id++) {
    if (relays[id] != nullptr) end_relay(static_cast<int>(id), 0, true);
  }
  for (size_t fd = 0; fd < slots.size(); fd++) {
    if (slots[fd].kind != Kind::none) doom(static_cast<int>(fd), false);
  }
  close_doomed();
  for (int fd : free_pipes) ::close(fd);
  free_pipes.clear();
  close_lending_pipe();
  if (polling) {
    uv_poll_stop(&poll);
    uv_close(reinterpret_cast<uv_handle_t*>(&poll), on_closed);
  }
  if (epoll >= 0) ::close(epoll);
  epoll = -1;
  drop_datagrams();
  buckets = nullptr;
  token_count = 0;
  if (!instance->leaving) {  // a leaving environment drops its references itself
    for (napi_ref* held : {&memory, &references, &on_batch, &on_flushed, &datagram_memory, &bucket_memory}) {
      if (*held != nullptr) napi_delete_reference(env, *held);
      *held = nullptr;
    }
  }
}

namespace {

napi_value close_engine(napi_env env, napi_callback_info info) {
  Call call(env, info);
  static_cast<Engine*>(call.data)->dispose();
  return nullptr;
}

// createEngine(slab, output, records, commands, results, control, references, onBatch, onFlushed): object, or a
// number: minus errno.
napi_value create_engine(napi_env env, napi_callback_info info) {
  Call call(env, info);
  Bytes slab = call.bytes(0), output = call.bytes(1), records = call.bytes(2), commands = call.bytes(3),
        results = call.bytes(4), control_block = call.bytes(5);
  if (call.wrong != 0 || call.count < 9) return call.refuse();
  if (slab.length < 2 * kReadMax || records.length < 64 * 16 || commands.length < 64 * 16 ||
      results.length < commands.length || control_block.length < control::size * 4) {
    return call.refuse();
  }

  Instance* instance = static_cast<Instance*>(call.data);
  auto owned = std::make_unique<Engine>();
  Engine* engine = owned.get();
  engine->instance = instance;
  engine->env = env;
  engine->lent = instance->lent;
  engine->slab = slab;
  engine->output = output;
  engine->records = reinterpret_cast<int32_t*>(records.at);
  engine->records_max = static_cast<int32_t>(records.length / 16);
  engine->commands = reinterpret_cast<int32_t*>(commands.at);
  engine->commands_max = static_cast<int32_t>(commands.length / 16);
  engine->results = reinterpret_cast<int32_t*>(results.at);
  engine->results_max = static_cast<int32_t>(results.length / 16);
  engine->control = reinterpret_cast<int32_t*>(control_block.at);

  napi_value memory = nullptr;
  napi_create_array_with_length(env, 6, &memory);
  for (uint32_t i = 0; i < 6; i++) napi_set_element(env, memory, i, call.at[i]);
  if (napi_create_reference(env, memory, 1, &engine->memory) != napi_ok ||
      napi_create_reference(env, call.at[6], 1, &engine->references) != napi_ok ||
      napi_create_reference(env, call.at[7], 1, &engine->on_batch) != napi_ok ||
      napi_create_reference(env, call.at[8], 1, &engine->on_flushed) != napi_ok) {
    engine->dispose();
    return call.refuse();
  }
  instance->engines.push_back(std::move(owned));
  int failed = 0;
  if (!engine->start(&failed)) {
    engine->dispose();
    return call.answer(-failed);
  }

  napi_value object = nullptr;
  napi_create_object(env, &object);
  put(env, object, "close", close_engine, engine);
  export_turn(env, object, engine);
  export_socket(env, object, engine);
  export_output(env, object, engine);
  export_relay(env, object, engine);
  export_datagram(env, object, engine);
  export_file(env, object, engine);
  return object;
}

napi_value init(napi_env env, napi_value exports) {
  Instance* instance = new Instance();
  if (napi_add_async_cleanup_hook(env, leave, instance, &instance->hook) != napi_ok) {
    delete instance;
    napi_throw_error(env, nullptr, "the environment is shutting down");
    return exports;
  }
  napi_value revision = nullptr;
  napi_create_int32(env, kRevision, &revision);
  napi_set_named_property(env, exports, "revision", revision);
  napi_value sources = nullptr;
  napi_create_string_latin1(env, GLASSQUID_SOURCES, NAPI_AUTO_LENGTH, &sources);
  napi_set_named_property(env, exports, "sources", sources);
  put(env, exports, "createEngine", create_engine, instance);
  export_kernel(env, exports);
  export_netlink(env, exports);
  export_local(env, exports);
  export_memory(env, exports);
  export_lend(env, exports, instance->lent);
  export_privileges(env, exports);
  export_notify(env, exports);
  return exports;
}

}  // namespace
}  // namespace glassquid

NAPI_MODULE_INIT() {
  return glassquid::init(env, exports);
}
