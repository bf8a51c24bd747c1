#!/bin/sh
# Builds the addon with a plain compiler call; no node-gyp, nothing is downloaded.
#
#   native/build.sh                    native/build/glassquid.node, optimised, for this machine
#   native/build.sh --debug | --asan   the same with checks (asan: see native/asan.sh)
#   native/build.sh --release          native/prebuilds/linux-<arch>.node, stripped
#   native/build.sh --release --cross arm64
set -e
cd "$(dirname "$0")"

target=$(uname -m)
case $target in x86_64) target=x64 ;; aarch64) target=arm64 ;; esac
cxx=${CXX:-g++}
tune="-O2 -fvisibility=hidden"
out=build/glassquid.node
while [ $# -gt 0 ]; do
  case $1 in
    --debug) tune="-O0 -g" ;;
    # the runtime is preloaded into node, which is not built with it
    --asan) out=build/glassquid-asan.node; tune="-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined" ;;
    --release) release=1 ;;
    --cross) shift; target=$1; cxx=aarch64-linux-gnu-g++; release=1
      [ "$target" = arm64 ] || { echo "can cross-build for arm64 only" >&2; exit 1; } ;;
    *) sed -n '2,8p' "$0" >&2; exit 1 ;;
  esac
  shift
done
if [ "$release" ]; then
  tune="$tune -Wl,-s"
  out=prebuilds/linux-$target.node
fi

# the headers are the same for every CPU
include=${NODE_INCLUDE:-$(ls -d ../node_modules/node-linux-*/include/node 2>/dev/null | head -n 1)}
[ -f "$include/node_api.h" ] || { echo "no Node headers: run 'npm ci' first, or set NODE_INCLUDE" >&2; exit 1; }
command -v "$cxx" >/dev/null || { echo "no compiler: install ${cxx} (Debian: apt install $cxx)" >&2; exit 1; }

# what it was built from: a test compares it with the sources, so that prebuilds are not forgotten
sources=$(cat ./*.h ./*.cc | sha256sum | cut -c1-16)

mkdir -p "$(dirname "$out")"
# written beside and renamed: a running process keeps the file it has mapped
"$cxx" -std=c++20 $tune -fPIC -shared -fno-exceptions -fno-rtti -pthread \
  -Wall -Wextra -Wshadow -Werror -D_GNU_SOURCE -DNAPI_VERSION=9 -DNODE_GYP_MODULE_NAME=glassquid -DGLASSQUID_SOURCES="\"sources $sources\"" \
  -isystem "$include" -Wl,-z,relro,-z,now -o "$out.new" ./*.cc
mv "$out.new" "$out"
echo "native/$out $(wc -c <"$out") bytes"
