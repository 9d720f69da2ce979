#!/bin/sh
# Installs the Debian packages whose programs the tests run: zstd unpacks archives as a stranger would, openssl makes the
# certificates of docs/MINIO.md, systemd checks the unit, chromium looks at the status page, strace kills at a system call, and
# XFS shares the blocks of copies; it and ext4 lose their power. python3 runs the reader of docs/FORMAT.md. bindfs is a file system that renames what is removed while it is open.
set -eu
need=
command -v zstd >/dev/null || need="$need zstd"
command -v openssl >/dev/null || need="$need openssl"
command -v systemd-analyze >/dev/null || need="$need systemd"
command -v chromium >/dev/null || need="$need chromium"
command -v strace >/dev/null || need="$need strace"
command -v mkfs.xfs >/dev/null || need="$need xfsprogs"
command -v mkfs.ext4 >/dev/null || need="$need e2fsprogs"
command -v python3 >/dev/null || need="$need python3-minimal"
command -v bindfs >/dev/null || need="$need bindfs"
command -v fusermount3 >/dev/null || need="$need fuse3"
[ -n "$need" ] || exit 0
apt-get -qq update
# shellcheck disable=SC2086 # a list of names
DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends $need
