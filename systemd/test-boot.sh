#!/usr/bin/env bash
# Boots a Debian, installs the service next to a real etcd with the commands of README.md, and tests how it runs, hangs, crashes and
# stops. Needs root. The first run builds the Debian tree in .cache/boot, which never changes; later runs take half a minute.
set -euo pipefail
cd "$(dirname "$0")/.."

name=etcd-rolling-backup
dir=/var/lib/$name
etc=/etc/$name
# shellcheck source=systemd/boot.sh
source systemd/boot.sh

host() {
  needs .cache/bin/$name .cache/bin/etcd-3.7/etcd
  start_booted
  if ! inside /src/systemd/test-boot.sh inside; then
    inside journalctl --no-pager -u $name -u etcd | grep -E 'systemd\[1\]|level|etcd-rolling-backup' | tail -n 60
    exit 1
  fi
}

### In the booted tree.

property() { systemctl show --value -p "$1" $name; }
newest() { find $dir -name "rolling_*.db.zst" | sort | tail -n 1; }
has_newer_than() { [[ $(newest) > $1 ]]; }
has_at_most() { (($(find $dir -name "rolling_*.db.zst" | wc -l) <= $1)); }
has_many() { (($(find $dir -name "rolling_*.db.zst" | wc -l) >= $1)); }
restarted() { (($(property NRestarts) > $1)) && [[ $(property ActiveState) == active ]]; }

# from_readme prints the shell blocks of README.md, in order.
from_readme() { sed -n '/^```sh$/,/^```$/ { /^```/d; p }' systemd/README.md; }

# settings makes everything faster than the defaults. The file belongs to another user, as certificates may.
settings() {
  mkdir -p $etc /etc/systemd/system/$name.service.d
  cat >$etc/test.yaml <<-END
	schedule: "@every 2s"
	keep-last: 3
	min-free: 1MiB
	stall-timeout: 2s
	etcd-timeout: 2s
	END
  chown nobody $etc/test.yaml
  chmod 0600 $etc/test.yaml
  cat >/etc/systemd/system/$name.service.d/test.conf <<-END
	[Service]
	Environment=ETCD_BACKUP_CONFIG=$etc/test.yaml
	WatchdogSec=4s
	RestartSec=1s
	END
}

start_etcd() {
  echo 127.0.0.1 localhost >/etc/hosts
  cat >/etc/systemd/system/etcd.service <<-END
	[Service]
	Type=notify
	ExecStart=/src/.cache/bin/etcd-3.7/etcd --data-dir /var/lib/etcd --unsafe-no-fsync --log-level error
	StateDirectory=etcd
	StateDirectoryMode=0700
	END
  systemctl daemon-reload
  systemctl start etcd
}

# stops_soon WHAT: within two seconds, with success, and without partial files.
stops_soon() {
  local began=${EPOCHREALTIME/./}
  systemctl stop $name
  local took=$(((${EPOCHREALTIME/./} - began) / 1000))
  ((took < 2000)) || fail "stop $1 took $took ms"
  [[ $(property ActiveState) == inactive && $(property Result) == success ]] || fail "stop $1: $(systemctl status $name)"
  [[ -z $(find $dir -name '*.part') ]] || fail "stop $1 left a partial file"
  say "ok: stop $1 took $took ms"
}

runs() {
  [[ $(property ActiveState) == active ]] || fail "the service is not active"
  until_true 20 "snapshots are taken" has_many 3
  local last
  last=$(newest)
  until_true 20 "more snapshots are taken" has_newer_than "$last"
  ! has_many 5 || fail "old snapshots are not pruned" # three, and a fourth before it is pruned
  [[ $(property StatusText) =~ ^last\ snapshot\ rolling_.*\.db\.zst,\ next\ run\ 20 ]] || fail "status line: $(property StatusText)"
  $name verify --dir $dir >/dev/null || fail "the newest snapshot is damaged"
  [[ $(stat -c %a $dir "$(newest)" | paste -sd' ') == "700 600" ]] || fail "modes: $(ls -la $dir)"
  say "ok: status line, verify, modes"
}

is_sandboxed() {
  local pid
  pid=$(property MainPID)
  grep -qx $'CapBnd:\t0000000000000004' "/proc/$pid/status" || fail "it has more capabilities than CAP_DAC_READ_SEARCH"
  grep -qx $'NoNewPrivs:\t1' "/proc/$pid/status" || fail "it may gain privileges"
  grep -qx $'Seccomp:\t2' "/proc/$pid/status" || fail "system calls are not filtered"
  local d
  for d in /etc /usr /var/lib /boot; do
    ! nsenter -t "$pid" -m touch "$d/x" 2>/dev/null || fail "it can write to $d"
  done
  say "ok: one capability, no new privileges, system calls filtered, writes only to its directory"
}

is_active() { [[ $(property ActiveState) == active ]]; }
logged() { grep -q -- "$1" <(journalctl -u $name --no-pager); }

# A reload changes the policy without a restart; a wrong file changes nothing.
reloads() {
  local pid
  pid=$(property MainPID)
  sed -i 's/^keep-last: .*/keep-last: 1/' $etc/test.yaml
  systemctl reload $name
  until_true 20 "a reload is logged" logged 'settings reloaded.*changed=keep-last'
  until_true 20 "and its policy applied" has_at_most 2 # one, and a second before it is pruned
  sed -i 's/^keep-last: .*/keep-lots: 9/' $etc/test.yaml
  systemctl reload $name
  until_true 20 "a wrong file is logged" logged 'reload failed.*test.yaml line 2: unknown key'
  local last
  last=$(newest)
  until_true 20 "and snapshots go on" has_newer_than "$last"
  sed -i 's/^keep-lots: .*/keep-last: 3/' $etc/test.yaml
  systemctl reload $name
  # Until the daemon has read the file, it reports that it is reloading.
  until_true 20 "it is active again" is_active
  [[ $(property MainPID) == "$pid" && $(property NRestarts) == 0 ]] || fail "a reload restarted it"
  say "ok: the process is the same"
}

# After every exit except for a wrong configuration, systemd restarts it.
restarts() {
  local signal
  for signal in STOP ABRT SEGV KILL; do # STOP: a hang, which the watchdog notices. ABRT: what the watchdog and a panic cause
    local before
    before=$(property NRestarts)
    kill -$signal "$(property MainPID)"
    until_true 20 "it restarts after SIG$signal" restarted "$before"
  done
  [[ $(journalctl -u $name --no-pager) == *"Watchdog timeout"* ]] || fail "the watchdog did not fire"
  local last
  last=$(newest)
  until_true 20 "and takes snapshots again" has_newer_than "$last"
}

stops() {
  stops_soon "while idle"
  systemctl start $name
  kill -STOP "$(systemctl show --value -p MainPID etcd)"
  sleep 3
  stops_soon "during a run that hangs"
  systemctl start --no-block $name
  sleep 1
  [[ $(property ActiveState) == activating ]] || fail "it is ready before it has contacted etcd"
  stops_soon "while it starts"
  kill -CONT "$(systemctl show --value -p MainPID etcd)"
}

gives_up_on_wrong_settings() {
  rm /etc/systemd/system/$name.service.d/test.conf # the file by its usual name
  systemctl daemon-reload
  echo 'schedule: hourly' >>$etc/config.yaml
  ! systemctl start $name 2>/dev/null || fail "it starts with a wrong schedule"
  sleep 2
  [[ $(property ActiveState) == failed && $(property ExecMainStatus) == 2 && $(property NRestarts) == 0 ]] || fail "$(systemctl status $name)"
  logged "$etc/config.yaml line .*: --schedule: .*hourly" || fail "the line at fault is not in the journal"
  say "ok: wrong settings stop it permanently"
}

inside_tests() {
  settings
  start_etcd
  from_readme | bash -eux
  runs
  is_sandboxed
  reloads
  restarts
  stops
  gives_up_on_wrong_settings
}

if [[ ${1:-} == inside ]]; then inside_tests; else host; fi
