# shellcheck shell=bash
# Boots a Debian for tests, which source this file in the root of the repository. Needs root. The first run builds the Debian tree in
# .cache/boot, which never changes; later runs take some seconds.

say() { printf '%s\n' "$*"; }
fail() {
  say "FAIL: $*"
  exit 1
}
# until_true SECONDS WHAT COMMAND...
until_true() {
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || fail "$what: not within the time"
    sleep 0.2
  done
  say "ok: $what"
}

### On the host.

tree=.cache/boot/tree
scratch='' nspawn='' leader=''

build_tree() {
  [[ -d $tree ]] && return
  say "building a Debian in $tree"
  rm -rf "$tree.new"
  mkdir -p "${tree%/*}"
  mmdebstrap --quiet --variant=apt --include=systemd,dbus,systemd-sysv bookworm "$tree.new"
  mv "$tree.new" "$tree"
}

# shut_down stops what boot started, in any state.
shut_down() {
  if [[ -n $leader ]]; then
    kill -RTMIN+4 "$leader" 2>/dev/null || true # poweroff
    for _ in {1..100}; do
      kill -0 "$nspawn" 2>/dev/null || break
      sleep 0.1
    done
  fi
  if [[ -n $nspawn ]]; then
    kill -KILL "$nspawn" 2>/dev/null || true
    wait "$nspawn" 2>/dev/null || true
  fi
  rm -rf "$scratch"
}

# boot OPTION...: with more options of systemd-nspawn. A .cache that is a link leads somewhere too.
boot() {
  [[ ! -L .cache ]] || set -- --bind-ro="$(realpath .cache)" "$@"
  systemd-nspawn -q -D "$tree" --volatile=overlay --register=no --keep-unit --private-network \
    --bind-ro="$PWD:/src" "$@" -b multi-user.target </dev/null >"$scratch/console" 2>&1 &
  nspawn=$!
}

inside() { nsenter -t "$leader" -m -u -i -n -p -C -- "$@"; }

booted() {
  leader=$(<"/proc/$nspawn/task/$nspawn/children")
  leader=${leader%% *}
  [[ -n $leader && $(inside systemctl is-system-running) == running ]]
}

# start_booted OPTION...: boots and waits until it is up; it is stopped when the script exits.
start_booted() {
  [[ $EUID -eq 0 ]] || fail "booting a tree needs root"
  local p
  for p in mmdebstrap systemd-nspawn nsenter; do
    command -v "$p" >/dev/null || fail "$p is missing: apt-get install mmdebstrap systemd-container util-linux"
  done
  build_tree
  scratch=$(mktemp -d)
  trap shut_down EXIT
  boot "$@"
  until_true 60 "Debian is up" booted
}

# needs FILE...: what make builds.
needs() {
  local p
  for p in "$@"; do
    [[ -x $p ]] || fail "$p is missing: make $p"
  done
}
