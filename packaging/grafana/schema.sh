#!/bin/sh
# Holds dashboard.json to Grafana's own schema: its published TypeScript types, and options and field settings of each
# panel to those of the panel's plugin. It needs npm and fetches two packages without dependencies; `make lint-dashboard` runs it.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts --no-package-lock @grafana/schema@13.2.3 typescript@5.9.3 2>npm.log ||
  { cat npm.log; exit 1; }
node "$here/schema.mjs" "$here/dashboard.json" > dashboard.ts
npx --no-install tsc --noEmit --strict --skipLibCheck --target es2022 --module esnext --moduleResolution bundler dashboard.ts
echo "dashboard.json is as Grafana's schema wants it"
