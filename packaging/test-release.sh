#!/usr/bin/env bash
# Builds a release of the last commit in two directories, the second with another umask, time zone, language, Go settings and an empty build
# cache, and compares all files byte for byte. Then it checks what the archives and the SBOMs contain.
set -euo pipefail
trap 'echo "FAIL: line $LINENO" >&2' ERR
cd "$(dirname "$0")/.."

scratch=$(mktemp -d)
trap 'chmod -R u+w "$scratch"; rm -rf "$scratch"' EXIT
BIN=$(realpath "${BIN:-.cache/bin}")
export BIN
version=v0.9.0-rc.1

for copy in a somewhere/else; do git clone -q . "$scratch/$copy"; done
"$scratch/a/packaging/release.sh" $version "$scratch/first" amd64 arm64
(
  umask 077
  export TZ=Asia/Tokyo LC_ALL=C.UTF-8 GOCACHE=$scratch/cache ETCD_BACKUP_KEEP_LAST=7 GOAMD64=v2 GOFLAGS=-tags=another
  "$scratch/somewhere/else/packaging/release.sh" $version "$scratch/second" amd64 arm64
)
diff -r "$scratch/first" "$scratch/second"

cd "$scratch/first"
sha256sum --quiet -c SHA256SUMS
[[ -z $(find . -type f -name '*[!A-Za-z0-9._-]*') ]] # names that GitHub keeps
for arch in amd64 arm64; do
  archive=etcd-rolling-backup_${version}_linux_$arch
  tar -xzf "$archive.tar.gz"
  grep -qF "GOARCH=$arch" <(go version -m "$archive/etcd-rolling-backup")
  while IFS=: read -r file link; do
    [[ -e ${file%/*}/${link%%#*} ]] || { echo "$file has a link to $link, which is not in the archive" && exit 1; }
  done < <(grep -roP --include='*.md' '\]\(\K(?!https?:|#)[^)]+(?=\))' "$archive/doc")
  grep -q '"purl": "pkg:golang/go.etcd.io/etcd/server/v3@' "$archive.cdx.json"
done
grep -qF $version <("./etcd-rolling-backup_${version}_linux_$(go env GOARCH)/etcd-rolling-backup" --version)
(($(find . -maxdepth 1 -type f | wc -l) == 9)) # four for each architecture, and the checksums
echo "ok: the same bytes in both directories"
ls -l
