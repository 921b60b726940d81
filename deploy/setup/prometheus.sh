#!/bin/sh
# Finds Prometheus, promtool, Alertmanager and amtool, or unpacks Debian's packages into the cache.
# Unpacked, not installed: installing would start services on this machine. Root is needed for two things only:
# Debian's package lists where they were never fetched, and Alertmanager's templates, whose place is compiled in.
# Prints the directory that holds the programs.
set -eu
. "$(dirname "$0")/cache.sh"

templates=/usr/share/prometheus/alertmanager
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }
complete() { [ -x "$1/promtool" ] && [ -x "$1/prometheus" ] && [ -x "$1/prometheus-alertmanager" ] && [ -x "$1/amtool" ]; }
unpacked="$cache/debian/usr/bin"
for directory in "$unpacked" /usr/bin; do
    if complete "$directory" && [ -f "$templates/default.tmpl" ]; then
        echo "$directory"
        exit 0
    fi
done

command -v apt-get >/dev/null 2>&1 ||
    fail "Prometheus and Alertmanager are not installed and this is not Debian" \
        "Put prometheus, promtool, prometheus-alertmanager and amtool into $unpacked and run the same command again."
work=$(mktemp -d "$cache/debian.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP
find "$cache" -maxdepth 1 -name 'debian.*' -mtime +0 -exec rm -rf {} + # of a run that was killed
chmod 755 "$work"
download() { (cd "$work" && apt-get download -qq prometheus prometheus-alertmanager >&2); }
say "fetching Debian's prometheus and prometheus-alertmanager (about 60 MB)"
if ! download 2>/dev/null; then
    say "Debian's package lists are missing or old; fetching them"
    as_root apt-get update -qq >&2 ||
        fail "apt-get update needs root" "Run: sudo apt-get update, then the same command again."
    download || fail "Debian's packages cannot be downloaded" "Check the network and /etc/apt/sources.list."
fi
for package in "$work"/*.deb; do dpkg-deb -x "$package" "$work/tree"; done
complete "$work/tree/usr/bin" || fail "Debian's packages do not hold the programs expected; a newer Debian?"
if ! [ -f "$templates/default.tmpl" ]; then
    as_root mkdir -p "$templates" && as_root cp -r "$work/tree$templates/." "$templates/" ||
        fail "Alertmanager reads its templates from $templates, which needs root once" \
            "Run: sudo apt-get install prometheus-alertmanager, then the same command again."
fi
rm -rf "$cache/debian"
mv "$work/tree" "$cache/debian"
say "unpacked into $cache/debian"
echo "$unpacked"
