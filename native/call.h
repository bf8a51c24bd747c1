#pragma once
// What a call from JavaScript brought: its arguments, read one by one, and the engine its function was made for.

#include <node_api.h>

#include <cstddef>
#include <cstdint>

namespace glassquid {

struct Bytes {
  uint8_t* at = nullptr;
  size_t length = 0;
};

struct Call {
  static constexpr size_t kArgumentsMax = 12;

  napi_env env;
  size_t count = kArgumentsMax;
  napi_value at[kArgumentsMax];
  void* data = nullptr;
  // The first argument that was not what it should be, counted from 1. The TypeScript side checks before calling;
  // this keeps a mistake there from becoming a crash here.
  int wrong = 0;

  Call(napi_env e, napi_callback_info info) : env(e) {
    if (napi_get_cb_info(env, info, &count, at, nullptr, &data) != napi_ok) count = 0;
  }

  int32_t integer(size_t i) {
    int32_t value = 0;
    if (i >= count || napi_get_value_int32(env, at[i], &value) != napi_ok) complain(i);
    return value;
  }

  double number(size_t i) {
    double value = 0;
    if (i >= count || napi_get_value_double(env, at[i], &value) != napi_ok) complain(i);
    return value;
  }

  // Any typed array, or with `optional` null. The memory stays where it is while the argument is alive.
  Bytes bytes(size_t i, bool optional = false) {
    Bytes found;
    if (i < count) {
      napi_typedarray_type type;
      size_t elements = 0;
      void* memory = nullptr;
      if (napi_get_typedarray_info(env, at[i], &type, &elements, &memory, nullptr, nullptr) == napi_ok) {
        found.at = static_cast<uint8_t*>(memory);
        found.length = elements * element_size(type);
        return found;
      }
      napi_valuetype kind;
      if (optional && napi_typeof(env, at[i], &kind) == napi_ok && kind == napi_null) return found;
    }
    complain(i);
    return found;
  }

  // Empty for null. Cut at the size of `text`.
  template <size_t Size>
  void string(size_t i, char (&text)[Size]) {
    text[0] = 0;
    if (i >= count) return complain(i);
    napi_valuetype kind;
    if (napi_typeof(env, at[i], &kind) == napi_ok && kind == napi_null) return;
    size_t written = 0;
    if (napi_get_value_string_latin1(env, at[i], text, Size, &written) != napi_ok) complain(i);
  }

  napi_value answer(int32_t value) {
    if (wrong != 0) return refuse();
    napi_value result = nullptr;
    napi_create_int32(env, value, &result);
    return result;
  }

  napi_value refuse() {
    napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "an argument is not what the native call takes");
    return nullptr;
  }

 private:
  void complain(size_t i) {
    if (wrong == 0) wrong = static_cast<int>(i) + 1;
  }

  static size_t element_size(napi_typedarray_type type) {
    switch (type) {
      case napi_int16_array:
      case napi_uint16_array:
        return 2;
      case napi_int32_array:
      case napi_uint32_array:
      case napi_float32_array:
        return 4;
      case napi_float64_array:
      case napi_bigint64_array:
      case napi_biguint64_array:
        return 8;
      default:
        return 1;
    }
  }
};

}  // namespace glassquid
