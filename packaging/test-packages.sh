#!/usr/bin/env bash
# Builds the packages of two versions and tests them in a booted Debian next to a real etcd and a real S3: installed, run, upgraded,
# removed, purged, installed again. Then the rpm as far as rpm goes here: its files, not its scripts. Needs root, lintian, rpm, zsh, fish.
set -euo pipefail
cd "$(dirname "$0")/.."

name=etcd-rolling-backup
dir=/var/lib/$name
etc=/etc/$name
# shellcheck source=systemd/boot.sh
source systemd/boot.sh

### On the host.

host() {
  needs .cache/bin/etcd-3.7/etcd .cache/bin/minio .cache/bin/mc
  packages=$(mktemp -d)
  trap 'rm -rf "$packages"' EXIT
  older v0.9.0 "$packages/old"
  packaging/release.sh v0.9.1-rc.1-2-gabcdef0 "$packages/new" amd64
  (cd "$packages/new" && sha256sum --quiet -c SHA256SUMS)
  lintian --allow-root --fail-on error "$packages"/new/*.deb || fail "lintian"
  completions
  say "ok: checksums, lintian, completions"
  test_rpm
  start_booted --bind-ro="$packages:/packages"
  trap 'shut_down; rm -rf "$packages"' EXIT
  if ! inside /src/packaging/test-packages.sh inside; then
    inside journalctl --no-pager -n 60
    exit 1
  fi
}

# older VERSION DIRECTORY builds the last commit as a version whose example of the settings is another one: the case in which a package
# manager may ask what to do with edited settings.
older() {
  git clone -q . "$packages/src"
  sed -i 's/^# Remove the # before a key to set it\./# Older words./' "$packages/src/internal/config/example.go"
  ! git -C "$packages/src" diff --quiet || fail "the example is the same"
  BIN=$PWD/.cache/bin "$packages/src/packaging/release.sh" "$1" "$2" amd64
}

# The tree has no zsh and no fish: their scripts are checked here, bash's in the tree.
completions() {
  tar -xzf "$packages"/new/*.tar.gz -C "$packages" --strip-components=1
  zsh -n "$packages/$name.zsh" || fail "zsh"
  [[ $(fish -c "source $packages/$name.fish; complete -C '$name restore --bump'") == --bump-revision* ]] || fail "fish"
}

# The scripts of the rpm are not run: they need a system that was installed with rpm.
test_rpm() {
  local root=$packages/root
  rpm --root "$root" --noscripts --nodeps -i "$packages"/old/*.rpm
  grep -qF v0.9.0 <("$root/usr/bin/$name" --version) || fail "rpm: another version"
  [[ $(stat -c %a "$root$etc" "$root$etc/config.yaml" | paste -sd' ') == "700 600" ]] || fail "rpm: modes"
  mkdir -p "$root$dir"
  touch "$root$dir/snapshot"
  echo 'keep-last: 5' >>"$root$etc/config.yaml"
  rpm --root "$root" --noscripts --nodeps -U "$packages"/new/*.rpm
  grep -qF 2-gabcdef0 <("$root/usr/bin/$name" --version) || fail "rpm: not upgraded"
  grep -qx 'keep-last: 5' "$root$etc/config.yaml" || fail "rpm: the upgrade lost the settings"
  [[ -e $root$etc/config.yaml.rpmnew ]] || fail "rpm: the upgrade did not change the example"
  rpm --root "$root" --noscripts --nodeps -e $name
  [[ ! -e $root/usr/bin/$name && -e $root$dir/snapshot && -e $root$etc/config.yaml.rpmsave ]] || fail "rpm: removal"
  say "ok: rpm installed, upgraded with its settings, removed without the snapshots (scripts not run)"
}

### In the booted tree.

property() { systemctl show --value -p "$1" "${2:-$name}"; }
count() { find $dir -name "rolling_*.db.zst" | wc -l; }
has_many() { (($(count) >= $1)); }
install_deb() { dpkg -i /packages/"$1"/*.deb </dev/null; }

# readme_line BEGINNING runs the line of the README's section about packages that begins so.
readme_line() {
  local line
  line=$(sed -n '/^### A deb or rpm/,/^```$/p' /src/README.md | grep "^$1 ") || fail "README.md has no line $1"
  bash -euc "$line" </dev/null
}

start_servers() {
  echo 127.0.0.1 localhost >/etc/hosts
  cat >/etc/systemd/system/etcd.service <<-END
	[Service]
	Type=notify
	ExecStart=/src/.cache/bin/etcd-3.7/etcd --data-dir /var/lib/etcd --unsafe-no-fsync --log-level error
	StateDirectory=etcd
	StateDirectoryMode=0700
	END
  cat >/etc/systemd/system/minio.service <<-END
	[Service]
	Environment=MINIO_ROOT_USER=the-access-key MINIO_ROOT_PASSWORD=the-secret-key HOME=/var/lib/minio
	ExecStart=/src/.cache/bin/minio server --address 127.0.0.1:9000 /var/lib/minio/data
	StateDirectory=minio
	END
  systemctl daemon-reload
  systemctl start etcd minio
  until_true 60 "S3 is up" mc alias set here http://127.0.0.1:9000 the-access-key the-secret-key
  mc mb here/backups >/dev/null
}
mc() { HOME=/tmp /src/.cache/bin/mc "$@"; }

# The settings of the administrator, as the test needs them: quick. The file of the package is an example that works as it is.
set_up() {
  grep -qx '#keep-last: 24' $etc/config.yaml || fail "config.yaml is not the example"
  $name config show >/dev/null || fail "the example is refused"
  cat >$etc/config.yaml <<-END
	schedule: "@every 2s"
	keep-last: 3
	min-free: 1MiB
	END
}

installs() {
  (cd /packages/old && readme_line dpkg)
  [[ $(systemctl is-enabled $name $name-save.timer 2>/dev/null | paste -sd' ') == "disabled disabled" ]] || fail "the installation enables something"
  [[ $(stat -c %a $dir $etc $etc/config.yaml | paste -sd' ') == "700 700 600" ]] || fail "modes: $(ls -ld $dir $etc $etc/*)"
  local file
  for file in bash-completion/completions/$name zsh/vendor-completions/_$name fish/vendor_completions.d/$name.fish lintian/overrides/$name; do
    [[ -s /usr/share/$file ]] || fail "$file is missing"
  done
  # dpkg may be configured to skip documentation.
  grep -qx "/usr/share/man/man8/$name.8.gz" <(dpkg -L $name) || fail "no manual page"
  bash -c "source /usr/share/bash-completion/completions/$name && complete -p $name" >/dev/null || fail "bash has no completion"
  set_up
  say "ok: installed, nothing enabled, modes"
}

runs() {
  grep -q 'keep-last.*3' <(readme_line etcd-rolling-backup\ config) || fail "config show"
  readme_line systemctl
  until_true 20 "snapshots are taken" has_many 3
  readme_line etcd-rolling-backup\ check || fail "check"
  $name verify --dir $dir >/dev/null || fail "the newest snapshot is damaged"
}

# The kill of the reload is there, and the new settings apply without a restart.
reloads() {
  local pid
  pid=$(property MainPID)
  sed -i 's/^keep-last: 3/keep-last: 2/' $etc/config.yaml
  systemctl reload $name
  until_true 20 "a reload applies the new retention" has_at_most 2
  [[ $(property MainPID) == "$pid" ]] || fail "the reload restarted it"
  sed -i 's/^keep-last: 2/keep-last: 3/' $etc/config.yaml
  systemctl reload $name
  until_true 20 "and again" has_many 3
}
has_at_most() { (($(count) <= $1)); }

# dpkg has no terminal here: if it asked about the edited settings, it would fail.
upgrades() {
  local pid before
  grep -q 'Older words' /usr/share/$name/config.yaml || fail "both versions have the same example"
  pid=$(property MainPID) before=$(sha256sum $etc/config.yaml)
  install_deb new
  [[ $($name --version) == *2-gabcdef0 ]] || fail "not upgraded: $($name --version)"
  [[ $(sha256sum $etc/config.yaml) == "$before" ]] || fail "the upgrade changed the settings"
  [[ $(property ActiveState) == active && $(property MainPID) != "$pid" && $(systemctl is-enabled $name) == enabled ]] || fail "the old daemon still runs"
  [[ $(dpkg-query -W -f '${Version}' $name) == "0.9.1~rc.1+2.gabcdef0" ]] || fail "version $(dpkg-query -W $name)"
  has_many 3 || fail "the upgrade removed snapshots"
  say "ok: upgraded: settings and snapshots kept, the new daemon runs"
}

# The drop-in of systemd/README.md: systemd hands over the keys. Then a credential that is missing.
uses_credentials() {
  install -d -m 0700 /etc/credstore
  (umask 077 && echo the-access-key >/etc/credstore/$name.s3-access-key && echo the-secret-key >/etc/credstore/$name.s3-secret-key)
  mkdir -p /etc/systemd/system/$name{,-save}.service.d
  sed -n '/^```ini$/,/^```$/ { /^```/d; p }' systemd/README.md >/etc/systemd/system/$name.service.d/s3.conf
  cp /etc/systemd/system/$name{,-save}.service.d/s3.conf
  printf 's3-bucket: backups\ns3-endpoint: http://127.0.0.1:9000\n' >>$etc/config.yaml
  systemctl daemon-reload
  systemctl restart $name
  until_true 20 "snapshots are in S3, with keys from LoadCredential" uploaded
  mv /etc/credstore/$name.s3-secret-key /etc/credstore/moved
  ! systemctl restart $name 2>/dev/null || fail "it starts without a credential"
  grep -q "status=243/CREDENTIALS" <(journalctl --no-pager -u $name) || fail "the journal does not name the credentials"
  mv /etc/credstore/moved /etc/credstore/$name.s3-secret-key
  until_true 30 "with the credential, systemd starts it again" systemctl is-active $name
}
uploaded() { grep -q 'rolling_.*db.zst$' <(mc ls --recursive here/backups); }

# Without a daemon: each start of the service is a snapshot, and the policy is applied.
saves_by_timer() {
  systemctl disable --now $name
  local i before
  for i in 1 2; do
    before=$(find $dir -name "rolling_*.db.zst" | sort | tail -n 1)
    sleep 1 # the name has the second
    systemctl start $name-save || fail "the one-shot service"
    [[ $(find $dir -name "rolling_*.db.zst" | sort | tail -n 1) > $before ]] || fail "run $i took no snapshot"
    (($(count) == 3)) || fail "run $i: $(count) snapshots, and the policy keeps 3"
  done
  systemctl enable --now $name-save.timer
  [[ -n $(property NextElapseUSecRealtime $name-save.timer) ]] || fail "the timer has no next run"
  say "ok: the timer's service saves and prunes"
}

removes() {
  systemctl enable --now $name
  touch $etc/password
  dpkg -r $name </dev/null
  [[ ! -e /usr/bin/$name && $(property LoadState) != loaded ]] || fail "something is left: $(property LoadState)"
  ! systemctl is-active $name $name-save.timer >/dev/null || fail "it still runs"
  [[ -z $(find /etc/systemd/system -path "*.wants/$name*") ]] || fail "links are left"
  [[ -e $etc/config.yaml ]] && has_many 3 || fail "the removal lost settings or snapshots"
  dpkg -P $name </dev/null
  [[ ! -e $etc/config.yaml && -e $etc/password ]] && has_many 3 || fail "the purge: $(ls $etc $dir)"
  say "ok: removed with settings and snapshots kept, purged with snapshots kept"
  rm $etc/password
  install_deb new
  [[ $(stat -c %a $etc/config.yaml) == 600 ]] || fail "no settings after a purge and an installation"
  systemctl is-enabled $name >/dev/null 2>&1 && fail "it is enabled again"
  $name verify --dir $dir >/dev/null || fail "the snapshots of before cannot be read"
  dpkg -P $name </dev/null
  [[ ! -e $etc ]] && has_many 3 || fail "the second purge: $(ls -d $etc $dir)"
  say "ok: installed again, the snapshots of before are there"
}

# The way without a package, with the commands of the README.
installs_the_archive() {
  dpkg -P $name </dev/null
  rm -rf $etc/config.yaml /etc/systemd/system/$name{,-save}.service.d # the credentials
  (
    cd "$(mktemp -d)"
    ln -s /packages/new/*.tar.gz .
    sed -n '/^### The archive of a release/,/^```$/p' /src/README.md | sed '1,/^```sh$/d; /^```$/d' >block
    [[ $(wc -l <block) -ge 5 ]] || fail "README.md has no block for the archive"
    bash -eu block
  ) </dev/null
  [[ $(stat -c %a $etc $etc/config.yaml | paste -sd' ') == "700 600" ]] || fail "modes: $(ls -ld $etc $etc/*)"
  until_true 20 "the archive's daemon runs, with the snapshots of before" has_many 3
  $name check || fail "check"
  [[ -s /etc/systemd/system/$name-save.timer ]] || fail "the timer is missing"
}

inside_tests() {
  [[ -d /packages ]] || fail "this installs packages: only in the booted tree"
  start_servers
  installs
  runs
  reloads
  upgrades
  uses_credentials
  saves_by_timer
  removes
  installs_the_archive
}

if [[ ${1:-} == inside ]]; then inside_tests; else host; fi
