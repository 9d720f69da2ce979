#!/bin/sh
# After a removal, an upgrade or a purge. The snapshots stay, always: what removes the program must not remove the backups.
set -e
if [ "${1:-}" = purge ]; then
  rm -f /etc/etcd-rolling-backup/config.yaml
  # Keys that somebody put next to it stay.
  [ ! -d /etc/etcd-rolling-backup ] || rmdir --ignore-fail-on-non-empty /etc/etcd-rolling-backup
fi
[ ! -d /run/systemd/system ] || systemctl daemon-reload || true
