# shellcheck shell=bash
# shellcheck disable=SC2034 # the scripts that source this file use its variables
# Functions that the other scripts source: they create temporary folders, find free ports, and run a command and stop
# its processes. Sourcing this file starts nothing.

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '%s\n' "$*" >&2; }

die() {
  say "scripts/$(basename "$0"): $*"
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# Creates a folder that other users may enter but not list. PostgreSQL refuses to run as root, so its own folder
# inside this one belongs to another user.
make_temp_folder() {
  local folder
  folder=$(mktemp -d "${TMPDIR:-/tmp}/greenroom.XXXXXX")
  chmod 711 "$folder"
  printf '%s\n' "$folder"
}

# Prints a free port below the range from which the kernel takes client ports. Another process may use the port before
# the server does. The caller must then try another port.
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

# Runs a command to its end and returns its status. A signal that stops this script first stops the command with all its
# processes. At a terminal the command stays in the foreground, so that an interactive program (psql, a shell) works and
# Ctrl-C reaches it. Otherwise the command gets its own process group and runs in the background: bash handles a signal
# only after a command in the foreground has ended, and a runner that kills this script earlier would leave the servers
# running.
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
