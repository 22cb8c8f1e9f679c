#!/usr/bin/env bash
# Builds and tests everything, on a fresh Debian 12 as well: installs what is missing (as root, or with
# sudo), then gcc, clang and a sanitized build, all with warnings as errors; luacheck, C units, Lua
# specs, integration against private Consuls; units, specs and a short integration set once more
# under the sanitizers. The network is used to install, never to test.
#
#   scripts/test.sh            all of it
#   scripts/test.sh --quick    gcc, luacheck, units and specs only
#
#   APPMGR_TEST_JOBS   how many integration files run at a time (default 6: they wait for Consul most of the time)
set -euo pipefail
cd "$(dirname "$0")/.."

PACKAGES=(lua5.4 lua-busted lua-luv lua-dkjson lua-check libcmocka-dev clang openssl procps)
cores=$(nproc)
# Under the sanitizers a process is several times its size: few at a time.
jobs=${APPMGR_TEST_JOBS:-6}
sanitizer_jobs=$(((jobs + 1) / 2))
started=$SECONDS
closing=()

say() { printf '\n=== %s (%d s)\n' "$*" $((SECONDS - started)); }
die() { printf 'test.sh: %s\n' "$*" >&2; exit 1; }

install_missing() {
  local missing=() package sudo=()
  for package in "${PACKAGES[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || die "these packages are missing and this is not root: ${missing[*]}"
    sudo=(sudo)
  fi
  say "installing ${missing[*]}"
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends "${missing[@]}" ||
    { "${sudo[@]}" apt-get -q update
      "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends "${missing[@]}"; }
}

# build FOLDER COMPILER [CMAKE OPTION...]
build() {
  local folder=$1 compiler=$2; shift 2
  say "building with $compiler into $folder"
  BUILD_DIR=$PWD/$folder CC=$compiler scripts/build.sh -DAPPMGR_WERROR=ON "$@"
}

# Remembers the line with which a runner closed, to be repeated at the end.
remember() { closing+=("$1"$'\t'"$2"); }

# What busted and cmocka said inside ctest, summed up from its log.
inner_counts() {
  awk '
    / success(es)? \/ .* failure/ { specs += $1; failed += $4; errors += $7; pending += $10 }
    /\[  PASSED  \] [0-9]+ test/ { units += $4 }
    END {
      printf "%d cmocka tests passed; busted: %d successes / %d failures / %d errors / %d pending\n",
        units, specs, failed, errors, pending
    }' "$1/Testing/Temporary/LastTest.log"
}

# run_ctest NAME FOLDER [CTEST OPTION...]
run_ctest() {
  local name=$1 folder=$2 code=0; shift 2
  say "$name"
  ctest --test-dir "$folder" --output-on-failure "$@" | tee "$folder/ctest.out" || code=$?
  remember "$name" "$(grep -E 'tests passed' "$folder/ctest.out" || echo 'no test ran')"
  remember "$name" "$(inner_counts "$folder")"
  return $code
}

run_luacheck() {
  say "luacheck"
  local out code=0
  out=$(luacheck --no-color lua policies spec tests) || code=$?
  [ $code -eq 0 ] || printf '%s\n' "$out"
  remember luacheck "$(tail -n 1 <<< "$out")"
  return $code
}

close() {
  local line
  say "summary"
  for line in "${closing[@]}"; do printf '%-24s %s\n' "${line%%$'\t'*}" "${line#*$'\t'}"; done
}

main() {
  local failed=0
  install_missing
  build build gcc
  run_luacheck || failed=1
  if [ "${1:-}" = --quick ]; then
    run_ctest "gcc, units and specs" build -j "$cores" -L 'unit|spec' || failed=1
    close
    return $failed
  fi
  build build-clang clang
  build build-sanitize gcc -DAPPMGR_SANITIZE=ON
  scripts/consul.sh > /dev/null
  run_ctest "gcc, units and specs" build -j "$cores" -L 'unit|spec' || failed=1
  run_ctest "gcc, integration" build -j "$jobs" -L 'integration|demo' || failed=1
  run_ctest "clang" build-clang -j "$cores" -L 'unit|spec' || failed=1
  run_ctest "gcc, ASan and UBSan" build-sanitize -j "$sanitizer_jobs" -L 'unit|sanitizer' || failed=1
  close
  return $failed
}

main "$@"
