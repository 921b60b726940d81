#!/bin/sh
# Fetches libchdb (ClickHouse as a library) once, checks it, and prints where it is on the last line of standard output.
#
# usage: engine/fetch.sh
#   LEDGERLINE_CACHE                where to keep it (else $XDG_CACHE_HOME/ledgerline, else ~/.cache/ledgerline)
#   LEDGERLINE_LIBCHDB_INTEGRITY    digest for a platform that has none pinned below (sha512-...)
#
# The second run finds the file and returns at once. Paths agree with engine/src/library.rs.
set -eu

version=26.7.3-stable.1
need_mb=900

say() { printf '%s\n' "libchdb: $*" >&2; }
fail() { say "$*"; exit 1; }

case "$(uname -s)-$(uname -m)" in
    Linux-x86_64) platform=linux-x64-gnu ;;
    Linux-aarch64 | Linux-arm64) platform=linux-arm64-gnu ;;
    Darwin-arm64) platform=darwin-arm64 ;;
    Darwin-x86_64) platform=darwin-x64 ;;
    *) fail "there is no libchdb for $(uname -s) on $(uname -m); use a ClickHouse server instead (storage.url)" ;;
esac

# From the packages themselves: openssl dgst -sha512 -binary package.tgz | base64
case "$platform" in
    linux-x64-gnu) integrity=sha512-XP97mMqnc5tZpKQywR8N7cLTsHNiTmHr30pC5mzo3jWmukjKn2IBa60c2B/gWUNcuFjOMjWoorQICCqBVj5wpw== ;;
    *) integrity=${LEDGERLINE_LIBCHDB_INTEGRITY:-} ;;
esac

if [ -n "${LEDGERLINE_CACHE:-}" ]; then
    cache=$LEDGERLINE_CACHE
elif [ -n "${XDG_CACHE_HOME:-}" ]; then
    cache=$XDG_CACHE_HOME/ledgerline
else
    cache=${HOME:?HOME is not set; give LEDGERLINE_CACHE}/.cache/ledgerline
fi
home=$cache/chdb/$version
library=$home/$platform/libchdb.so

if [ -f "$library" ]; then
    say "have $version for $platform"
    printf '%s\n' "$library"
    exit 0
fi

[ -n "$integrity" ] || fail "no digest is pinned for $platform. Compare the one that
  npm view @chdb/lib-$platform@$version dist.integrity
prints with a source you trust, and give it as LEDGERLINE_LIBCHDB_INTEGRITY"
command -v npm >/dev/null 2>&1 || fail "npm is missing; get it with: apt-get install npm (Debian), brew install node (macOS)"
command -v tar >/dev/null 2>&1 || fail "tar is missing; get it with: apt-get install tar"

if command -v openssl >/dev/null 2>&1; then
    digest() { printf 'sha512-%s' "$(openssl dgst -sha512 -binary "$1" | openssl base64 -A)"; }
elif command -v node >/dev/null 2>&1; then
    digest() {
        node -e 'const hash = require("crypto").createHash("sha512");
            require("fs").createReadStream(process.argv[1]).on("data", (piece) => hash.update(piece))
                .on("end", () => process.stdout.write("sha512-" + hash.digest("base64")))' "$1"
    }
else
    fail "openssl is missing; get it with: apt-get install openssl"
fi

mkdir -p "$home"
have_mb=$(df -Pk "$home" | awk 'NR == 2 { print int($4 / 1024) }')
[ "$have_mb" -ge "$need_mb" ] || fail "$home has $have_mb MB free and $need_mb MB are needed; free some, or give LEDGERLINE_CACHE"

# Everything happens in a directory of this run and becomes visible by one rename, so that an interrupted run leaves nothing
# half done and two runs at once do not meet.
work=$(mktemp -d "$home/.fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP
find "$home" -maxdepth 1 -name '.fetch.*' -mtime +0 -exec rm -rf {} + # of a run that was killed

say "fetching @chdb/lib-$platform@$version (170 MB) with npm"
(cd "$work" && npm pack --silent --ignore-scripts "@chdb/lib-$platform@$version" >/dev/null) ||
    fail "npm could not fetch the package; is the registry reachable? (npm ping)"
set -- "$work"/*.tgz
[ -f "$1" ] || fail "npm reported success and left no package in $work"

say "checking its sha512"
found=$(digest "$1")
[ "$found" = "$integrity" ] || fail "the package is not the one that was pinned: expected $integrity, found $found"

say "unpacking (566 MB)"
mkdir "$work/out"
tar -xzf "$1" -C "$work/out" --strip-components=1 package/libchdb.so
[ -s "$work/out/libchdb.so" ] || fail "the package holds no libchdb.so"
mkdir -p "$home/$platform"
mv "$work/out/libchdb.so" "$library"

say "ready"
printf '%s\n' "$library"
