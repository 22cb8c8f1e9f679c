#!/usr/bin/env bash
# What only a machine of one's own can show: cgroups v2 with all controllers, out of memory, the units under a real systemd, reboots.
# Builds a Debian guest from Debian's packages, builds appmgr in it, boots it (KVM where that works, else emulated) and runs there
# what tests/vm/guest.sh says. Needs root: debootstrap does. The guest has no network; nothing of this machine is changed but for
# the packages debootstrap and qemu-system-x86, which are installed where they are missing.
#
#   tests/vm/run.sh                      everything
#   tests/vm/run.sh systemd …            some of it: units, integration, demo, systemd (with the reboots)
#   tests/vm/run.sh --fresh              makes the guest anew from packages
#
#   APPMGR_CACHE=/dir          where the guest is kept (1.2 GB)
#   APPMGR_VM_RELEASE=trixie   Debian 13, whose systemd knows DelegateSubgroup=; else bookworm, whose does not
set -euo pipefail
cd "$(dirname "$0")/../.."

RELEASE=${APPMGR_VM_RELEASE:-bookworm}
GUEST_PACKAGES=(systemd systemd-sysv libpam-systemd dbus udev kmod procps iproute2 linux-image-cloud-amd64)
TOOLS=(cmake ninja-build pkg-config gcc libc6-dev liblua5.4-dev libuv1-dev libcurl4-openssl-dev libssl-dev libjson-c-dev libedit-dev
       libseccomp-dev lua5.4 lua-busted lua-luv lua-dkjson libcmocka-dev)
HOST_PACKAGES=(debootstrap qemu-system-x86 e2fsprogs)
MEMORY_MB=2048 CORES=2 LIMIT_S=3600
PARTS=(units integration demo systemd)

cache=${APPMGR_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/appmgr}/vm/$RELEASE
work=
machine=

say() { printf '\n=== %s (%d s)\n' "$*" "$SECONDS"; }
die() { printf 'tests/vm/run.sh: %s\n' "$*" >&2; exit 1; }

clean_up() {
  [ -z "$machine" ] || kill "$machine" 2>/dev/null || true
  [ -z "$work" ] || rm -rf "$work"
}
trap clean_up EXIT

install_missing() {
  local missing=() package
  for package in "${HOST_PACKAGES[@]}"; do
    dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installing ${missing[*]}"
  local install=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "${missing[@]}")
  "${install[@]}" >/dev/null 2>&1 || { apt-get -qq update; "${install[@]}" >/dev/null; }
}

# The guest's files without appmgr, from packages: once.
make_guest() {
  local root=$cache/root archive
  [ ! -e "$cache/complete" ] || return 0
  say "making a guest of $RELEASE from packages"
  # The archive this machine already uses, whichever mirror that is.
  archive=$(apt-get indextargets --format '$(REPO_URI)' 2>/dev/null | awk '/\/debian\/?$/ { print; exit }')
  [ -n "$archive" ] || die "apt knows no Debian archive (run apt-get update)"
  rm -rf "$root" && mkdir -p "$root"
  debootstrap --variant=minbase --include="$(IFS=,; echo "${GUEST_PACKAGES[*]}")" "$RELEASE" "$root" "$archive" > "$cache/debootstrap.log" ||
    die "debootstrap failed: $cache/debootstrap.log"
  printf '#!/bin/sh\nexit 101\n' > "$root/usr/sbin/policy-rc.d" && chmod +x "$root/usr/sbin/policy-rc.d"
  chroot "$root" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "${TOOLS[@]}" > "$cache/tools.log" 2>&1 ||
    die "the tools cannot be installed: $cache/tools.log"
  rm -rf "$root/usr/sbin/policy-rc.d" "$root"/var/cache/apt/archives/*.deb
  echo guest > "$root/etc/hostname"
  touch "$cache/complete"
}

# This tree, built in the guest; and the unit that runs the tests.
put_in_appmgr() {
  local root=$cache/root consul
  say "building in the guest"
  mkdir -p "$root/src"
  find "$root/src" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
  git ls-files -z --cached --others --exclude-standard | tar --null -T - -c | tar -x -C "$root/src"
  chroot "$root" env BUILD_DIR=/src/build /src/scripts/build.sh -DAPPMGR_WERROR=ON
  if consul=$(scripts/consul.sh); then install -m 755 "$consul" "$root/usr/local/bin/consul"; fi
  mkdir -p "$root/var/lib/appmgr-vm"
  printf '%s\n' "${PARTS[@]}" > "$root/var/lib/appmgr-vm/parts"
  install -m 644 tests/vm/appmgr-vm.service "$root/etc/systemd/system/"
  chroot "$root" systemctl -q mask serial-getty@ttyS0.service # the line is the tests'
  chroot "$root" systemctl -q enable appmgr-vm.service
}

accelerator() {
  # A machine may have /dev/kvm and no processor for it.
  if [ -w /dev/kvm ] && grep -qE '^flags.* (vmx|svm)( |$)' /proc/cpuinfo; then echo kvm; else echo tcg; fi
}

boot() {
  local root=$cache/root how
  how=$(accelerator)
  say "booting ($how, $MEMORY_MB MB, $CORES processors)"
  mke2fs -q -t ext4 -F -d "$root" "$work/disk.img" 4G
  qemu-system-x86_64 -M q35 -accel "$how" -cpu max -smp "$CORES" -m "$MEMORY_MB" -nodefaults -nographic -no-user-config \
    -kernel "$(echo "$root"/boot/vmlinuz-*)" -initrd "$(echo "$root"/boot/initrd.img-*)" \
    -append "root=/dev/vda rw console=ttyS0 loglevel=3 systemd.show_status=no" \
    -drive "file=$work/disk.img,format=raw,if=virtio,cache=unsafe" -device virtio-rng-pci \
    -chardev "file,id=serial,path=$work/serial.log" -serial chardev:serial &
  machine=$!
}

# Shows what the guest says until it is off. Returns its result.
follow() {
  local limit=$((SECONDS + LIMIT_S))
  touch "$work/serial.log"
  tail -n +1 -f --pid="$machine" "$work/serial.log" | stdbuf -oL tr -d '\r' | grep --line-buffered -a '^vm: ' &
  while kill -0 "$machine" 2>/dev/null; do
    [ $SECONDS -lt $limit ] || { tail -n 50 "$work/serial.log"; die "the guest did not end within $LIMIT_S s"; }
    sleep 1
  done
  wait || true
  machine=
  tr -d '\r' < "$work/serial.log" | grep -qax 'vm: result 0'
}

[ "$(id -u)" -eq 0 ] || die "this needs root (debootstrap, chroot); run it in a container or with sudo"
chosen=()
for argument in "$@"; do
  case $argument in
    --fresh) rm -rf "$cache/complete" ;;
    units|integration|demo|systemd) chosen+=("$argument") ;;
    *) die "unknown argument $argument; known are --fresh ${PARTS[*]}" ;;
  esac
done
[ ${#chosen[@]} -eq 0 ] || PARTS=("${chosen[@]}")
mkdir -p "$cache"
work=$(mktemp -d "$cache/run.XXXXXX")
install_missing
make_guest
put_in_appmgr
boot
if follow; then say "passed"; else say "failed"; exit 1; fi
