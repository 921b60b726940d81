#!/usr/bin/env bash
# Builds the console's pages into dist/, which the next `cargo build` puts into the collector. The packages are installed into the
# user's cache, once per content of the lock file.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
cache="${LEDGERLINE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ledgerline}"

fail() {
    printf 'console/build.sh: %s\n' "$@" >&2
    exit 1
}

command -v npm >/dev/null || fail "npm is not installed." "On Debian: apt-get install nodejs npm"
# What is built of the same sources stays as it is, so that the collector is not compiled again.
sources="$(cat package-lock.json openapi.json index.html build.sh *.ts *.json public/* src/*.ts src/*.tsx src/*.css | sha256sum | cut -c1-32)"
[ "$(cat dist/.sources 2>/dev/null)" != "$sources" ] || exit 0
modules="$cache/console-$(sha256sum <package-lock.json | cut -c1-16)"
mkdir -p "$cache"
exec 9>"$modules.lock"
if command -v flock >/dev/null; then flock 9; fi
if [ ! -e "$modules/.complete" ]; then
    echo "console/build.sh: installing the packages into $modules" >&2
    rm -rf "$modules"
    mkdir -p "$modules"
    cp package.json package-lock.json "$modules/"
    npm ci --prefix "$modules" --ignore-scripts --no-audit --no-fund --loglevel error >&2 ||
        fail "npm could not install package-lock.json." "It needs a registry: see npm's own configuration; the result is cached."
    touch "$modules/.complete"
fi
[ "$(readlink node_modules 2>/dev/null)" = "$modules/node_modules" ] || { rm -rf node_modules && ln -s "$modules/node_modules" node_modules; }
npm run --silent build
echo "$sources" >dist/.sources
