#!/bin/sh
# Checks that the machine has what cannot be fetched into a cache, and says how to get what is missing.
# usage: toolchain.sh [demo|test]   the demo needs less than the tests
set -eu
. "$(dirname "$0")/cache.sh"

missing=0
need() { # command, why, how to get it
    command -v "$1" >/dev/null 2>&1 && return 0
    say "missing: $1 ($2). $3"
    missing=1
}
need make "runs the commands" "On Debian: apt-get install make"
need cargo "builds the project" "Install Rust 1.95 or newer with rustup."
need cc "links Rust programs and builds zstd" "On Debian: apt-get install gcc libc6-dev"
need npm "fetches the ClickHouse library and builds the console" "On Debian: apt-get install nodejs npm"
need node "builds the console" "On Debian: apt-get install nodejs"
if [ "${1:-test}" = test ]; then
    need python3 "runs the provider SDKs" "On Debian: apt-get install python3 python3-venv"
    need curl "talks to the engine and the collector in tests" "On Debian: apt-get install curl"
    need ip "puts agent and collector on two machines in a test" "On Debian: apt-get install iproute2"
fi
[ "$missing" = 0 ] || fail "install the above and run the same command again"

have=$(cargo --version | sed 's/^cargo \([0-9]*\)\.\([0-9]*\).*/\1 \2/')
set -- $have
[ "$1" -gt 1 ] || [ "$2" -ge 95 ] || fail "cargo $1.$2 is too old, 1.95 is the oldest that builds this" "rustup update stable"
[ "${1:-test}" = demo ] || python3 -c 'import venv, ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
    fail "python3 is older than 3.11 or lacks venv" "On Debian 12 or newer: apt-get install python3 python3-venv"
node -e 'const [major, minor] = process.versions.node.split(".").map(Number); process.exit(+!(major > 22 || (major === 22 && minor >= 12) || (major === 20 && minor >= 19)))' 2>/dev/null ||
    fail "node is older than 20.19 (or 22.12), which builds the console" "On Debian 13 or newer: apt-get install nodejs npm"
