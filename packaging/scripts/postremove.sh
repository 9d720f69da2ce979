#!/bin/sh
# After a removal, an upgrade or a purge. The snapshots stay, always: what removes the program must not remove the backups.
set -e
[ ! -d /run/systemd/system ] || systemctl daemon-reload || true
