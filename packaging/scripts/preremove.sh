#!/bin/sh
# Before a removal or an upgrade. dpkg calls it with "remove" or "upgrade", rpm with the number of versions that remain.
set -e
case ${1:-} in remove | 0) ;; *) exit 0 ;; esac
# Without a running systemd, disabling only removes the links. Whatever systemctl can't do, the package can be removed.
command -v systemctl >/dev/null || exit 0
systemctl --no-reload disable etcd-rolling-backup.service etcd-rolling-backup-save.timer || true
[ -d /run/systemd/system ] || exit 0
systemctl stop etcd-rolling-backup.service etcd-rolling-backup-save.timer etcd-rolling-backup-save.service || true
