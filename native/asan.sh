#!/bin/sh
# Builds the addon with AddressSanitizer and UndefinedBehaviorSanitizer and runs the tests of the native code under it.
#
#   native/asan.sh [more vitest arguments]
#
# Node itself is not built with the sanitizers, so their runtime is preloaded into it. Leak detection is off: V8 leaves
# much behind at exit on purpose, and every stack runs through it. What the addon must give back is descriptors and
# memory of its own, which the tests count.
set -e
cd "$(dirname "$0")/.."
native/build.sh --asan
runtime=$(g++ -print-file-name=libasan.so)
[ -f "$runtime" ] || { echo "no libasan.so: install libasan (Debian: it comes with g++)" >&2; exit 1; }
# a worker's stack is small, and the sanitizer's frames are large: use-after-return would move them to the heap
export ASAN_OPTIONS=detect_leaks=0:halt_on_error=1:abort_on_error=1:detect_stack_use_after_return=0
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
export GLASSQUID_NATIVE="$PWD/native/build/glassquid-asan.node"
node=$(bin/nodex -p process.execPath)
LD_PRELOAD="$runtime" exec "$node" node_modules/vitest/vitest.mjs run --no-file-parallelism \
  test/native/ test/comm/engine-native.test.ts "$@"
