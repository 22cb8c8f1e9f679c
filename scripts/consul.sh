#!/usr/bin/env bash
# Prints the path of a usable consul binary: the one on PATH, else the one
# fetched before, else Debian's package. Debian 12 has no consul, its
# predecessor (bullseye) has 1.8.7, which runs here. The package is unpacked
# into a cache of ours; the machine's apt sources are never touched.
#
#   CONSUL=/path/to/consul    use this binary and look no further
#   APPMGR_CACHE=/dir         where a fetched binary is kept
set -euo pipefail

die() { printf 'consul.sh: %s\n' "$*" >&2; exit 1; }

if [ -n "${CONSUL:-}" ]; then
  [ -x "$CONSUL" ] || die "CONSUL=$CONSUL is not executable; unset it or name a consul binary"
  printf '%s\n' "$CONSUL"; exit 0
fi
if found=$(command -v consul); then printf '%s\n' "$found"; exit 0; fi

cache=${APPMGR_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/appmgr}
binary=$cache/consul/usr/bin/consul
if [ -x "$binary" ]; then printf '%s\n' "$binary"; exit 0; fi

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -r "$keyring" ] || die "$keyring is missing; install debian-archive-keyring, or put a consul binary on PATH"
command -v dpkg >/dev/null || die "this is no Debian system; put a consul binary on PATH"

# The archive this machine already uses, whichever mirror that is.
archive=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 2>/dev/null |
  awk '$1 ~ /\/debian\/?$/ { print $1; exit }')
[ -n "$archive" ] || die "apt knows no Debian archive (run apt-get update), or put a consul binary on PATH"

mkdir -p "$cache"
work=$(mktemp -d "$cache/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
mkdir -p "$work/lists/partial" "$work/empty"
printf 'deb [signed-by=%s] %s bullseye main\n' "$keyring" "$archive" > "$work/bullseye.list"
options=(-o "Dir::Etc::sourcelist=$work/bullseye.list" -o "Dir::Etc::sourceparts=$work/empty"
         -o "Dir::State::lists=$work/lists" -o "Dir::Cache::pkgcache=" -o "Dir::Cache::srcpkgcache="
         -o "APT::Sandbox::User=root" -o "Acquire::Check-Valid-Until=false" -o "Acquire::Languages=none")
apt-get "${options[@]}" -q update >&2 || die "cannot read the bullseye lists from the Debian archive"
(cd "$work" && apt-get "${options[@]}" -q download consul >&2) || die "cannot download Debian's consul package"
dpkg -x "$work"/consul_*.deb "$work/consul"
[ -x "$work/consul/usr/bin/consul" ] || die "the package holds no usr/bin/consul"
# A rename, so that two runs at the same time cannot leave half a binary.
rm -rf "$cache/consul" && mv "$work/consul" "$cache/consul" 2>/dev/null || true
[ -x "$binary" ] || die "could not put consul into $cache; is it writable?"
printf '%s\n' "$binary"
