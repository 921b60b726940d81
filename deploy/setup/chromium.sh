#!/bin/sh
# Finds Chromium, or installs Debian's package: a browser needs more libraries than can be unpacked beside it.
# Prints the program.
set -eu
. "$(dirname "$0")/cache.sh"

for program in "${CHROMIUM:-}" chromium chromium-browser google-chrome; do
    if [ -n "$program" ] && command -v "$program" >/dev/null 2>&1; then
        command -v "$program"
        exit 0
    fi
done
command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ] ||
    fail "Chromium is not installed" "On Debian: sudo apt-get install chromium" "Or set CHROMIUM to one, or to Chrome."
say "installing Debian's chromium"
install() { DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-liberation >&2; }
install 2>/dev/null || { apt-get update -qq >&2 && install; } || fail "Debian's chromium cannot be installed" "Check the network and /etc/apt/sources.list."
command -v chromium
