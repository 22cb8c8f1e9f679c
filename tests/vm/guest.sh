#!/usr/bin/env bash
# Runs in the guest that tests/vm/run.sh boots, from a unit, after each boot. Each line for the outside begins with "vm: ".
set -uo pipefail
cd /src
export APPMGR_BUILD=/src/build HOME=/root APPMGR_TEST_SLOWNESS=4 LC_ALL=C
stage_file=/var/lib/appmgr-vm/stage
failed_file=/var/lib/appmgr-vm/failed
mkdir -p /var/lib/appmgr-vm
stage=$(cat $stage_file 2>/dev/null || echo first)

tell() { sed 's/^/vm: /' > /dev/ttyS0; }

# run NAME COMMAND...: shows the end of what it says, and notes when it fails.
run() {
  local name=$1 code=0; shift
  "$@" > /var/lib/appmgr-vm/out 2>&1 < /dev/null || code=$?
  if [ $code -ne 0 ]; then tell < /var/lib/appmgr-vm/out; echo "$name" >> $failed_file; fi
  { echo "$([ $code -eq 0 ] && echo ok || echo FAILED) $name"
    grep -E 'SKIPPED +\]|^ ?skipped|PASSED +\]|[0-9]+ success' /var/lib/appmgr-vm/out | sort | uniq -c; } | tell
}

# As a service with Delegate=yes and DelegateSubgroup= does: the command is in a cgroup of its own below the one that it may write.
delegated() {
  systemd-run --quiet --wait --pipe --collect -p Delegate=yes -p TasksMax=infinity -p OOMPolicy=continue --working-directory=/src \
    -E APPMGR_BUILD -E HOME -E LC_ALL -E APPMGR_TEST_SLOWNESS \
    sh -c 'c=/sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup) && mkdir $c/tests && echo 0 >$c/tests/cgroup.procs && exec "$@"' sh "$@"
}

spec() { lua5.4 /usr/bin/busted --output=plainTerminal --lpath='./?.lua' "tests/$1_spec.lua"; }

# finish RESULT
finish() {
  echo "result $1" | tell
  sync
  systemctl --no-block poweroff
  exit "$1"
}

finish_all() { if [ -s $failed_file ]; then finish 1; else finish 0; fi; }

go_on() {
  echo "$1" > $stage_file
  sync
}

is_wanted() { grep -qx "$1" /var/lib/appmgr-vm/parts; }

units() {
  local name
  for name in test_cgroup test_keeper_containment test_keeper_death test_survey; do
    run $name delegated build/tests/unit/$name
  done
}

integration() {
  local name
  for name in containment bad_application keeper; do
    run $name delegated lua5.4 /usr/bin/busted --output=plainTerminal --lpath='./?.lua' "tests/integration/${name}_spec.lua"
  done
}

case $stage in
first)
  echo "kernel $(uname -r), $(systemctl --version | head -1), controllers $(cat /sys/fs/cgroup/cgroup.controllers)" | tell
  is_wanted units && units
  is_wanted integration && integration
  is_wanted demo && [ -x /usr/local/bin/consul ] && run demo delegated scripts/demo.sh
  is_wanted systemd || finish_all
  run systemd spec vm/systemd
  go_on rebooted
  systemctl --no-block reboot ;;
rebooted)
  APPMGR_VM_STAGE=$stage run "after a reboot" spec vm/reboot
  go_on crashed
  echo b > /proc/sysrq-trigger ;;
crashed)
  APPMGR_VM_STAGE=$stage run "after a crash" spec vm/reboot
  finish_all ;;
esac
