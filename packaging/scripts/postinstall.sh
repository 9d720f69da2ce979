#!/bin/sh
# After an installation or an upgrade. dpkg calls it with "configure OLD-VERSION", rpm with the number of installed versions.
# A service that does not start is no reason to call the installation failed: systemctl status shows it.
set -e
# First installation of the deb. In the rpm this file is part of the package.
settings=/etc/etcd-rolling-backup/config.yaml
if [ "${1:-}" = configure ] && [ -z "${2:-}" ] && [ ! -e $settings ] && [ ! -L $settings ]; then
  (umask 077 && cp /usr/share/etcd-rolling-backup/config.yaml $settings)
fi
if command -v systemd-tmpfiles >/dev/null; then
  systemd-tmpfiles --create etcd-rolling-backup.conf || true
fi
[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload || true
# Nothing is enabled: the settings come first. A daemon that is running is replaced by the new one.
systemctl try-restart etcd-rolling-backup.service || true
