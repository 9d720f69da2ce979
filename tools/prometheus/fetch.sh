#!/bin/sh
# Unpacks Debian's prometheus and promtool into the directory $1 without installing them; no service is started.
set -eu
mkdir -p "$1"
out=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
# As root, apt drops to the user _apt for the download, which must be able to write here.
chmod 777 "$work"
fetch() { apt-get -qq download prometheus; }
fetch 2>/dev/null || { apt-get -qq update && fetch; }
for deb in *.deb; do dpkg-deb -x "$deb" tree; done
install -m 0755 tree/usr/bin/prometheus tree/usr/bin/promtool "$out/"
