#!/usr/bin/env bash
# Prints a folder with supervisor, runit, s6 and Pacemaker's planner, for the benchmark alone (run.lua peers, pacemaker): Debian's
# packages of this release, unpacked into a cache of ours. Nothing is installed and nothing of it is started by the system.
#
#   APPMGR_CACHE=/dir   where the unpacked packages are kept
set -euo pipefail

die() { printf 'peers.sh: %s\n' "$*" >&2; exit 1; }

PACKAGES=(supervisor python3-pkg-resources runit s6 libs6-2.11 libskarnet2.13 libexecline2.9
  pacemaker-cli-utils pacemaker-common libcib27 libcrmcommon34 libcrmservice28 liblrmd28 libltdl7 libpacemaker1 libpe-rules26
  libpe-status28 libpils2 libqb100 libstonithd26)
cache=${APPMGR_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/appmgr}
folder=$cache/peers

is_whole() { [ -x "$1/usr/bin/s6-svscan-here" ] && [ -x "$1/usr/sbin/crm_simulate" ]; }

if is_whole "$folder"; then printf '%s\n' "$folder"; exit 0; fi
command -v dpkg >/dev/null || die "this is no Debian system: the peers are measured from Debian's packages"

mkdir -p "$cache"
work=$(mktemp -d "$cache/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
(cd "$work" && apt-get -o APT::Sandbox::User=root -q download "${PACKAGES[@]}" >&2) ||
  die "cannot download ${PACKAGES[*]}; apt-get update may help"
for package in "$work"/*.deb; do dpkg -x "$package" "$work/peers"; done
# It knows s6-supervise by its installed path alone: the copy takes that of a folder in the one it scans (services.lua).
LC_ALL=C sed 's,/usr/bin/s6-supervise,./.peer/s6-supervise\x00,g' "$work/peers/usr/bin/s6-svscan" >"$work/peers/usr/bin/s6-svscan-here"
chmod 755 "$work/peers/usr/bin/s6-svscan-here"
is_whole "$work/peers" || die "the packages do not hold usr/bin/s6-svscan and usr/sbin/crm_simulate"
# A rename, so that two runs at the same time cannot leave half a folder.
rm -rf "$folder" && mv "$work/peers" "$folder"
printf '%s\n' "$folder"
