# Shared by the service scripts of this folder: free ports, waiting, and stopping exactly what was started.
# Sourced, never run. A server's folder DIR holds `pid` and `port`; whoever starts a server owns DIR.
# shellcheck shell=bash

# What is fetched once and kept between runs. Used by the scripts that source this file.
# shellcheck disable=SC2034
cache=${PATCHBAY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/patchbay}

self=$(readlink -f "$0")

die() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# A free loopback port below the range the kernel hands to outgoing connections.
free_port() {
  perl -MIO::Socket::INET -e '
    for (1 .. 200) {
      my $port = 10000 + int rand 20000;
      IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => $port, Listen => 1) or next;
      print "$port\n";
      exit 0;
    }
    exit 1'
}

# wait_until SECONDS PID COMMAND...: true once COMMAND succeeds, false when PID ends or the time is up.
wait_until() {
  local deadline=$((SECONDS + $1)) pid=$2
  shift 2
  until "$@" 2>/dev/null; do
    alive "$pid" && ((SECONDS < deadline)) || return 1
    sleep 0.1
  done
}

# Running, and not a zombie that merely waits to be reaped.
alive() {
  local state
  state=$(sed 's/.*) \(.\).*/\1/' "/proc/$1/stat" 2>/dev/null) && [[ $state != [ZX] ]]
}

gone() {
  ! alive "$1"
}

# The server's pid, if this DIR has one that is alive.
running() {
  local pid
  pid=$(cat "$1/pid" 2>/dev/null) && alive "$pid" && printf '%s\n' "$pid"
}

# Stop DIR's server when OWNER (by default the process that called the script) is no more, so that a killed
# test run leaves nothing behind.
guard() {
  setsid "$self" guard "$1" "${PATCHBAY_OWNER:-$PPID}" </dev/null >/dev/null 2>&1 &
}

guard_loop() {
  local dir=$1 owner=$2 pid
  pid=$(running "$dir") || return 0
  while alive "$owner"; do
    alive "$pid" || return 0
    sleep 0.5
  done
  "$self" kill "$dir"
}

# stop_pid SIGNAL PID: ask politely, then insist.
stop_pid() {
  kill "-$1" "$2" 2>/dev/null
  wait_until 30 "$$" gone "$2" || kill -KILL "$2" 2>/dev/null
}

# kill_tree PID: the process and its children at once, with no chance to write anything. PostgreSQL's
# children are sessions of their own, so a signal to the process group would miss them.
kill_tree() {
  local pids
  read -ra pids <<<"$1 $(cat "/proc/$1/task/$1/children" 2>/dev/null)"
  kill -KILL "${pids[@]}" 2>/dev/null
  local pid
  for pid in "${pids[@]}"; do
    wait_until 10 "$$" gone "$pid" || die "process $pid does not end"
  done
}

# The command line all service scripts share; they define start_server DIR PORT, stop_server PID DIR and
# kill_server PID DIR.
service_main() {
  local command=${1:-} dir=${2:-} pid
  [[ $dir ]] || die "usage: ${0##*/} start DIR [PORT] | stop DIR | kill DIR"
  case $command in
    start) service_start "$dir" "${3:-}" ;;
    stop) pid=$(running "$dir") && stop_server "$pid" "$dir"; return 0 ;;
    kill) pid=$(running "$dir") && kill_server "$pid" "$dir"; return 0 ;;
    guard) guard_loop "$dir" "$3" ;;
    *) die "unknown command $command" ;;
  esac
}

# The port may have been taken between the look and the bind: without a wish, try another one.
service_start() {
  local dir=$1 port=$2 try
  mkdir -p "$dir"
  running "$dir" >/dev/null && die "already running in $dir"
  [[ $port ]] || port=$(cat "$dir/port" 2>/dev/null) || true
  for try in 1 2 3; do
    local chosen=${port:-$(free_port)}
    if start_server "$dir" "$chosen"; then
      printf '%s\n' "$chosen" >"$dir/port"
      guard "$dir"
      printf 'port=%s\npid=%s\nurl=%s\n' "$chosen" "$(cat "$dir/pid")" "$(server_url "$chosen")"
      return 0
    fi
    [[ $port ]] && break
  done
  tail -n 40 "$dir/log" >&2
  die "did not start (attempt $try); its last lines are above"
}

# Where .ci/install puts wechatpy: another list of versions is another folder.
wechatpy_folder() {
  local versions
  versions=$(cksum <"$here/wechatpy.txt")
  printf '%s/wechatpy-%s\n' "$cache" "${versions%% *}"
}
