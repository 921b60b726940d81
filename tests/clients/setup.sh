#!/usr/bin/env bash
# Creates the Python environment of the real client libraries in the user's cache, once per content of
# requirements.txt, and prints its path as the last line. Safe to run at any time and several times at once.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
requirements="$here/requirements.txt"
cache="${LEDGERLINE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ledgerline}"
python="${PYTHON:-python3}"

fail() {
    printf 'clients/setup.sh: %s\n' "$@" >&2
    exit 1
}

command -v "$python" >/dev/null ||
    fail "$python is not installed." "On Debian: apt-get install python3 python3-venv" "Or set PYTHON to an interpreter, 3.11 or newer."
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$("$python" --version 2>&1) is too old: the pinned versions need 3.11 or newer." "Set PYTHON to a newer interpreter."
"$python" -c 'import venv, ensurepip' 2>/dev/null ||
    fail "$python has no venv module." "On Debian: apt-get install python3-venv"

version="$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
hash="$( (cat "$requirements"; echo "$version") | sha256sum | cut -c1-16)"
venv="$cache/venv-$hash"
mkdir -p "$cache"

# One set-up at a time; whoever waited finds the work done.
exec 9>"$cache/venv-$hash.lock"
if command -v flock >/dev/null; then
    flock 9
fi
if [ ! -e "$venv/.complete" ]; then
    echo "clients/setup.sh: installing the client libraries into $venv" >&2
    rm -rf "$venv"
    "$python" -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -r "$requirements" >&2 ||
        fail "pip could not install $requirements." "It needs a package index: see PIP_INDEX_URL, or run it once with a network; the result is cached."
    "$venv/bin/python" -m pip check --disable-pip-version-check >&2 ||
        fail "the frozen versions in $requirements do not fit together."
    touch "$venv/.complete"
fi
echo "$venv"
