# shellcheck shell=bash
# shellcheck disable=SC2034 # what is unused here is used by who sources it
# Shared by the scripts beside this file, which source it: temporary folders, free ports, running a
# command so that its servers outlive it by a moment and nobody by more. Starts nothing by itself.

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '%s\n' "$*" >&2; }

die() {
  say "scripts/$(basename "$0"): $*"
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# A folder that other users may pass through but not list: PostgreSQL refuses to run as root, so its
# own folder inside this one belongs to somebody else.
make_temp_folder() {
  local folder
  folder=$(mktemp -d "${TMPDIR:-/tmp}/greenroom.XXXXXX")
  chmod 711 "$folder"
  printf '%s\n' "$folder"
}

# A port nobody listens on, below the range from which the kernel hands out client ports. Somebody
# may take it before our server does: whoever starts a server tries again with another.
free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 12000))
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      printf '%s\n' "$port"
      return
    fi
  done
}

random_word() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }

# Runs a command to its end and returns its status; when we are told to stop, stops it first, with
# everything it started. At a terminal it stays in the foreground, so that an interactive program
# (psql, a shell) works and Ctrl-C reaches it. Elsewhere it gets a process group of its own: bash
# would otherwise sit out a signal until the command ends, and the servers would be left behind when
# a runner loses its patience.
run_to_end() {
  local status=0
  if [ -t 0 ]; then
    trap : INT
    "$@" || status=$?
    trap - INT
    return "$status"
  fi
  local child stopped=0
  set -m
  "$@" &
  child=$!
  set +m
  trap 'stopped=130; kill -TERM -- "-$child" 2>/dev/null || true' INT
  trap 'stopped=143; kill -TERM -- "-$child" 2>/dev/null || true' TERM HUP
  # A signal ends `wait` early, before the command has ended: wait again until it has.
  while :; do
    status=0
    wait "$child" || status=$?
    kill -0 "$child" 2>/dev/null || break
  done
  trap - INT TERM HUP
  [ "$stopped" = 0 ] || return "$stopped"
  return "$status"
}
