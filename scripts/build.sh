#!/usr/bin/env bash
# Builds appmgr and appmgr-keeper into build/. Debian packages that are missing
# are installed first, as root or through sudo; where nothing is missing apt is
# not touched.
#
#   BUILD_DIR=/dir    build there instead
#   CC=clang          another compiler (for a fresh build folder)
#
# Arguments go to cmake: scripts/build.sh -DAPPMGR_WERROR=ON -DAPPMGR_SANITIZE=ON
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
build=${BUILD_DIR:-$root/build}
packages=(cmake ninja-build pkg-config gcc libc6-dev liblua5.4-dev libuv1-dev libcurl4-openssl-dev
          libssl-dev libjson-c-dev libedit-dev libseccomp-dev)

say() { printf 'build.sh: %s\n' "$*" >&2; }

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done

if [ ${#missing[@]} -gt 0 ]; then
  as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { say "missing: ${missing[*]}; install them as root and run this again"; exit 1; }
    as_root=(sudo)
  fi
  say "installing ${missing[*]}"
  install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "${missing[@]}")
  # The lists of a fresh machine may be absent or old.
  if ! "${install[@]}" >/dev/null 2>&1; then
    "${as_root[@]}" apt-get -qq update
    "${install[@]}" >/dev/null
  fi
fi

say "building into $build"
cmake -S "$root" -B "$build" -G Ninja "$@" >/dev/null
ninja -C "$build" --quiet
say "done: $build/appmgr, $build/appmgr-keeper"
