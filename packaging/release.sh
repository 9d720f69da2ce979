#!/usr/bin/env bash
# Builds a release in DIRECTORY: for each architecture an archive, a deb, an rpm and an SBOM, then the checksums of all. The same commit
# gives the same bytes, in any directory. Needs nfpm and cyclonedx-gomod in BIN; make release and make packages call it.
#
#   packaging/release.sh VERSION DIRECTORY ARCH...
set -euo pipefail
umask 022

name=etcd-rolling-backup
version=$1 out=$(realpath -m "$2")
shift 2
cd "$(dirname "$0")/.."
bin=$(realpath "${BIN:-.cache/bin}")
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
# What whoever builds has set for other programs changes no byte.
export CGO_ENABLED=0 GOFLAGS="-buildvcs=false -trimpath" GOAMD64=v1 GOARM64=v8.0 GOEXPERIMENT=

# package_version VERSION: v1.2.0 -> 1.2.0, v1.3.0-rc.1 -> 1.3.0~rc.1 (sorts before 1.3.0), v1.2.0-3-gabc -> 1.2.0+3.gabc (sorts after
# 1.2.0), and a commit without a tag before it by its time.
package_version() {
  local v=${1#v}
  if [[ $v =~ ^([0-9.]+)(-.*)?-([0-9]+-g[0-9a-f]+(-dirty)?)$ ]]; then
    v=${BASH_REMATCH[1]}${BASH_REMATCH[2]/-/\~}+${BASH_REMATCH[3]//-/.}
  elif [[ $v =~ ^[0-9]+\.[0-9.]+ ]]; then
    v=${v/-/\~}
  else
    v=0.0.0~$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y%m%d%H%M%S).${v//-/.}
  fi
  echo "$v"
}

# stage puts the files of a package into the directory $1.
stage() {
  local dir=$1
  mkdir -p "$dir"/{units,doc,scripts}
  cp systemd/*.service systemd/*.timer "$dir/units/"
  # With the paths of the repository, so that the links work on a node without a network too.
  local manifests
  mapfile -t manifests < <(find packaging/kubernetes -name '*.md' -o -name '*.yaml' -o -name '*.env')
  cp --parents ./*.md LICENSE Dockerfile docs/*.{md,png} systemd/README.md "${manifests[@]}" packaging/compose.yaml packaging/rke/Dockerfile \
    packaging/prometheus/{README.md,alerts.yaml,prometheus.yaml} packaging/grafana/dashboard.json "$dir/doc/"
  cp packaging/scripts/* "$dir/scripts/"
  cp packaging/{tmpfiles.conf,lintian-overrides} "$dir/"
  go run ./packaging/assets "$version" "$dir"
  gzip -9n "$dir/$name.8"
  # Not from the environment of whoever builds.
  go build -o "$scratch/host" .
  env -i "$scratch/host" config example >"$dir/config.yaml"
  printf '%s\n' "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/" "" "Files: *" \
    "Copyright: $(date -u -d "@$SOURCE_DATE_EPOCH" +%Y) The $name authors" "License: Apache-2.0" " On Debian systems, the text is in /usr/share/common-licenses/Apache-2.0." >"$dir/copyright"
  printf '%s (%s) stable; urgency=medium\n\n  * See CHANGELOG.md.\n\n -- The %s authors <%s@users.noreply.github.com>  %s\n' \
    $name "$PACKAGE_VERSION" $name $name "$(LC_ALL=C date -u -d "@$SOURCE_DATE_EPOCH" -R)" | gzip -9n >"$dir/changelog.gz"
}

# normalize gives all files of a directory the time of the commit, and modes that do not depend on how it was checked out.
normalize() {
  chmod -R u=rwX,go=rX "$1"
  find "$1" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
}

build_arch() {
  local arch=$1 dir=$scratch/$1 archive=${name}_${version}_linux_$1
  cp -r "$scratch/common" "$dir"
  GOOS=linux GOARCH=$arch go build -ldflags "-s -w -buildid= -X main.version=$version" -o "$dir/$name" .
  normalize "$dir"

  mkdir "$scratch/$archive"
  cp -a "$dir/$name" "$dir/doc" "$dir/units" "$dir/config.yaml" "$dir/$name".{8.gz,bash,zsh,fish} "$scratch/$archive/"
  normalize "$scratch/$archive"
  tar -C "$scratch" --sort=name --owner=0 --group=0 --numeric-owner --format=gnu -cf - "$archive" | gzip -9n >"$out/$archive.tar.gz"

  local packager file
  rm -rf "$scratch/packages" && mkdir "$scratch/packages"
  for packager in deb rpm; do
    (cd "$dir" && PACKAGE_ARCH=$arch "$bin/nfpm" package -f "$config" -p $packager -t "$scratch/packages/" >/dev/null)
  done
  # GitHub changes ~ and + in the names of a release's files to a dot: then SHA256SUMS would have other names.
  for file in "$scratch/packages"/*; do mv "$file" "$out/$(basename "$file" | tr '~+' ..)"; done
  "$bin/cyclonedx-gomod" bin -json -std -noserial -notimestamp -version "$version" -output "$out/$archive.cdx.json" "$dir/$name" 2>"$scratch/sbom.log" ||
    { cat "$scratch/sbom.log" >&2 && return 1; }
}

PACKAGE_VERSION=$(package_version "$version")
export PACKAGE_VERSION
config=$PWD/packaging/nfpm.yaml
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
rm -rf "$out"
mkdir -p "$out"
stage "$scratch/common"
for arch in "$@"; do build_arch "$arch"; done
(cd "$out" && sha256sum -- * >SHA256SUMS)
