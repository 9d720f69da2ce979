#!/usr/bin/env bash
# Writes the table of Kubernetes' types, types.zst, and the fixtures of its newest version to the directory given. Each version is built with a .mod file of its own, for one version of a module
# excludes the others from a build. Older versions know the types that newer ones removed.
set -euo pipefail
mkdir -p "$1/testdata"
output=$(realpath "$1")
cd "$(dirname "$0")"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

go run -modfile=go.mod ./dump >"$work/types-new"
for version in v0.35 v0.28 v0.22; do
  go run -modfile=$version.mod ./dump >"$work/types-$version"
done

# The lists of resources are files of Kubernetes' own module, in the version of its types; Go checks its sum.
version=$(go list -m -f '{{.Version}}' k8s.io/api)
kubernetes=$(cd "$work" && go mod download -json "k8s.io/kubernetes@v1${version#v0}" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')

go run ./merge -o "$output/types.zst" "$work"/types-new "$work"/types-v0.35 "$work"/types-v0.28 "$work"/types-v0.22 \
  -- "$kubernetes/api/discovery/api__v1.json" "$kubernetes/api/discovery/aggregated_v2.json"

go run ./corpus -o "$output/testdata/fixtures.tar.zst" -fixtures "$(go list -m -f '{{.Dir}}' k8s.io/api)/testdata/HEAD" -crds 5
