#!/usr/bin/env bash
# A cluster of three agents on a private Consul, from start to end, in about a minute.
#
#   scripts/demo.sh               shows everything, ends everything
#   scripts/demo.sh --keep        leaves the cluster up and prints how to look at it
#   scripts/demo.sh --stop DIR    ends a cluster that was kept
#
# Everything lives in one temporary folder and on loopback ports that were free.
set -euo pipefail
cd "$(dirname "$0")/.."

APPMGR=${APPMGR_BUILD:-$PWD/build}/appmgr
NODES=(alpha beta gamma)
keep=no
dir=
bold= plain=
if [ -t 1 ]; then bold=$'\033[1m' plain=$'\033[0m'; fi

say() { printf '\n%s# %s%s\n' "$bold" "$*" "$plain"; }
note() { printf '  %s\n' "$*"; }
die() { printf 'demo.sh: %s\n' "$*" >&2; exit 1; }

# Shows a command as an operator would type it on the first node that still runs, and runs it there.
on() {
  local node=$1; shift
  printf '%s%s$ appmgr %s%s\n' "$bold" "$node" "$*" "$plain"
  APPMGR_SOCKET=$dir/$node/run/appmgr.sock "$APPMGR" "$@" | sed 's/^./  &/'
}

quietly() {
  local node=$1; shift
  APPMGR_SOCKET=$dir/$node/run/appmgr.sock "$APPMGR" "$@" 2>/dev/null
}

# await SECONDS WHAT COMMAND...: repeats a command until it succeeds.
await() {
  local limit=$((SECONDS + $1)) what=$2; shift 2
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $limit ] || die "not within the time it should take: $what (logs: $dir)"
    sleep 0.1
  done
}

# --- processes: each has a pid file, and only those are ever ended -----------------

is_up() { [ -r "$1" ] && kill -0 "$(<"$1")" 2>/dev/null; }

is_gone() { ! is_up "$1"; }

# Agent, keeper and applications, as the end of a machine would. The keeper first, which starts anew what it sees end.
kill_node() {
  local pid
  for pid in $(processes_of "$1") $(applications_of "$1"); do kill -KILL "$pid" 2>/dev/null || true; done
}

# What the keeper of a node started bears its mark: device and inode of the state directory.
applications_of() {
  local mark
  [ -d "$dir/$1/state" ] || return 0
  mark=$(printf 'APPMGR_KEEPER=%s.%x' "$(stat -c %D "$dir/$1/state")" "$(stat -c %i "$dir/$1/state")")
  grep -slzxF -f <(printf '%s\n' "$mark") /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3
}

kill_hard() { if is_up "$1"; then kill -KILL "$(<"$1")" 2>/dev/null || true; fi; }

# The processes that were started with a node's state directory: its agent, keeper and logger. (The words
# reach grep by a file, so that it does not find itself.)
processes_of() {
  grep -slzxF -f <(printf '%s\n' "$dir/$1/state") /proc/[0-9]*/cmdline 2>/dev/null | cut -d/ -f3
}

# The worst case of ending: what did not go by itself is killed, by its id.
sweep() {
  local node
  for node in "${NODES[@]}"; do kill_node "$node"; done
  kill_hard "$dir/consul/pid"
  await 10 "Consul ends" is_gone "$dir/consul/pid"
  rm -rf "$dir"
}

finish() {
  local code=$?
  trap - EXIT INT TERM
  if [ -n "$dir" ] && [ -d "$dir" ]; then
    [ $code -eq 0 ] || { printf '\ndemo.sh: failed; the last lines of the logs:\n'; tail -n 5 "$dir"/*/log; } >&2
    sweep
  fi
  exit $code
}

# --- Consul ------------------------------------------------------------------------

free_port() {
  local port
  while :; do
    port=$((12000 + RANDOM % 18000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo $port; return; }
  done
}

kv() { local verb=$1; shift; "$CONSUL" kv "$verb" -http-addr="$url" "$@" 2>/dev/null; }
kv_get() { kv get "appmgr/$1"; }

leader() { kv_get leader | tr -d '"'; }
leads_other() { local now; now=$(leader) && [ -n "$now" ] && [ "$now" != "$1" ]; }

start_consul() {
  local try
  mkdir "$dir/consul"
  for try in 1 2 3 4 5; do
    port=$(free_port)
    "$CONSUL" agent -dev -bind 127.0.0.1 -client 127.0.0.1 -node private -log-level warn -http-port "$port" -dns-port -1 \
      -grpc-port -1 -server-port "$(free_port)" -serf-lan-port "$(free_port)" -serf-wan-port "$(free_port)" \
      >> "$dir/consul/log" 2>&1 &
    echo $! > "$dir/consul/pid"
    disown
    url=http://127.0.0.1:$port
    echo "$url" > "$dir/consul/url"
    for _ in $(seq 1 100); do
      if [ -n "$(kv put appmgr-demo ready)" ]; then return; fi
      is_up "$dir/consul/pid" || break
      sleep 0.1
    done
    kill_hard "$dir/consul/pid"
  done
  die "Consul does not start: $(tail -n 3 "$dir/consul/log")"
}

# --- agents ------------------------------------------------------------------------

write_configuration() {
  mkdir "$dir/$1"
  cat > "$dir/$1/appmgr.json" <<JSON
{ "Description": "demo",
  "Applications": [ { "name": "clock", "command": "while :; do date; sleep 1; done" } ],
  "Consul": { "url": "$url", "session_TTL": 10, "report_interval": 2, "topology_interval": 2 } }
JSON
}

start_agent() {
  local node=$1
  "$APPMGR" agent --config "$dir/$node/appmgr.json" --node "$node" --state-dir "$dir/$node/state" \
    --socket "$dir/$node/run/appmgr.sock" >> "$dir/$node/log" 2>&1 &
  disown
}

has_joined() { kv_get "live/$1"; }

# settled TASK COUNT: as many replicas run as are wanted, says the task table.
settled() { quietly "$seat" tasks | awk -v task="$1" -v count="$2" '$1 == task { for (i = 2; i <= 3; i++) if ($i != count) exit 1; found = 1 } END { exit !found }'; }

write_task() {
  cat > "$dir/$1.json"
}

# --- the story ---------------------------------------------------------------------

start_cluster() {
  local node
  say "A private Consul, and three agents that know nothing but its address"
  start_consul
  note "Consul $("$CONSUL" version | sed -n '1s/.*v//p') answers on $url"
  for node in "${NODES[@]}"; do
    write_configuration "$node"
    start_agent "$node"
  done
  for node in "${NODES[@]}"; do await 15 "$node joins" has_joined "$node"; done
  await 15 "a leader is elected" leads_other ""
  note "They elected a leader through Consul's lock on appmgr/leader: $(leader)"
  seat=alpha
  on alpha status
}

apply_tasks() {
  say "Two tasks: 'web' three times, 'worker' twice. The leader places them; each agent follows its own key"
  write_task web <<'JSON'
{ "content": { "name": "web", "command": "while :; do echo request served; sleep 1; done" }, "replication": 3, "max_per_node": 2 }
JSON
  write_task worker <<'JSON'
{ "content": { "name": "worker", "command": "sleep 100000" }, "replication": 2 }
JSON
  on alpha task apply "$dir/web.json" "$dir/worker.json"
  await 15 "web runs three times" settled web 3
  await 15 "worker runs twice" settled worker 2
  on beta tasks
  on beta nodes
  note "The same, as any other program sees it in Consul:"
  printf '%s$ consul kv get appmgr/topology/alpha%s\n  %s\n' "$bold" "$plain" "$(kv_get topology/alpha)"
}

scale() {
  say "More of one: 'web' five times; what runs already is left alone"
  on gamma task scale web 5
  await 15 "web runs five times" settled web 5
  on gamma tasks
  say "What one node runs (its own 'clock' beside its share of the tasks), and what an application wrote"
  on alpha app ls
  on alpha app logs -n 3 clock
}

lose_the_leader() {
  local began=$SECONDS
  lost=$(leader)
  for seat in "${NODES[@]}"; do [ "$seat" = "$lost" ] || break; done
  say "The leader's machine dies: SIGKILL for agent, keeper and applications of $lost"
  kill_node "$lost"
  note "Nobody is told. Consul waits for the session of $lost to expire (TTL 10 s; Consul takes up to twice that) …"
  await 60 "another agent leads" leads_other "$lost"
  note "After $((SECONDS - began)) s $(leader) leads; 'web' and 'worker' move to who is left"
  await 20 "web is complete as far as two nodes allow" settled_or_pending
  on "$seat" nodes
  on "$seat" tasks
  note "Five times 'web' do not fit on two nodes with max_per_node 2: one waits, and the table says why"
}

# Four of five run: two on each of the two nodes that are left.
settled_or_pending() { quietly "$seat" tasks | grep -Eq '^web +5 +4 '; }

bring_back() {
  say "$lost comes back: it joins, takes what was waiting, and nothing else moves"
  start_agent "$lost"
  await 20 "web runs five times" settled web 5
  on "$seat" tasks
}

leave() {
  local node
  say "A clean end: each node gives up its slots, stops its applications, deletes its keys and ends"
  for node in "${NODES[@]}"; do
    quietly "$node" leave > /dev/null || die "$node does not leave"
    await 20 "agent and keeper of $node end" has_ended "$node"
    note "$node is gone"
  done
  # What stays under live/ is the last one's farewell: nobody is left who could have heard it.
  [ -z "$("$CONSUL" kv get -http-addr="$url" -keys appmgr/status/ 2>/dev/null)" ] || die "keys are left under appmgr/status/"
  note "Consul holds no live node any more; it is ended too"
  sweep
  say "Nothing is left: no process, and $dir is removed ($SECONDS s)"
}

has_ended() { [ -z "$(processes_of "$1")" ]; }

tell_how_to_look() {
  trap - EXIT INT TERM
  say "The cluster stays up. To look at it:"
  note "export APPMGR_SOCKET=$dir/alpha/run/appmgr.sock      (or beta, gamma)"
  note "$APPMGR status | nodes | tasks | app ls | repl"
  note "$url/ui                                    Consul's own pages, the keys are under appmgr/"
  note "logs: $dir/<node>/log"
  note "To end it: scripts/demo.sh --stop $dir"
}

stop_kept() {
  dir=$1
  [ -r "$dir/consul/url" ] || die "$dir holds no cluster of this demo"
  url=$(<"$dir/consul/url")
  leave
}

main() {
  CONSUL=$(scripts/consul.sh)
  case "${1:-}" in
    --keep) keep=yes ;;
    --stop) [ $# -eq 2 ] || die "usage: scripts/demo.sh --stop DIR"; stop_kept "$2"; return ;;
    "") ;;
    *) die "usage: scripts/demo.sh [--keep | --stop DIR]" ;;
  esac
  if [ ! -x "$APPMGR" ]; then
    say "First the build (scripts/build.sh; the machine is given what is missing)"
    scripts/build.sh > /dev/null
    SECONDS=0
  fi
  trap finish EXIT
  trap 'exit 130' INT TERM
  dir=$(mktemp -d "${TMPDIR:-/tmp}/appmgr-demo.XXXXXX")
  start_cluster
  apply_tasks
  scale
  lose_the_leader
  bring_back
  if [ $keep = yes ]; then tell_how_to_look; else leave; fi
}

main "$@"
