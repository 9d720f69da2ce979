#!/usr/bin/env bash
# Writes objects with what Kubernetes' own code makes of them to the directory given: random ones of each type, and definitions of custom
# resources. Those of older versions are compared up to empty values, for the newest version shows fewer of these.
set -euo pipefail
mkdir -p "$1"
output=$(realpath "$1")
cd "$(dirname "$0")"

go run -modfile=go.mod ./corpus -o "$output/new.tar.zst" -random 60 -seed "${SEED:-1}"
go run -modfile=go.mod ./corpus -o "$output/crds.tar.zst" -crds 1000 -seed "${SEED:-1}"
for version in v0.35 v0.28 v0.22; do
  go run -modfile=$version.mod ./corpus -o "$output/old-$version.tar.zst" -random 10 -seed "${SEED:-1}"
done
