#!/usr/bin/env bash
# Installs the real client libraries into the user's cache, once per content of their lock file, and prints where as the
# last line. Safe to run at any time and several times at once.
# usage: setup.sh [python [REQUIREMENTS]|node]
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
cache="${LEDGERLINE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ledgerline}"
mkdir -p "$cache"

fail() {
    printf 'clients/setup.sh: %s\n' "$@" >&2
    exit 1
}

# One set-up at a time; whoever waited finds the work done.
alone() {
    exec 9>"$cache/$1.lock"
    if command -v flock >/dev/null; then
        flock 9
    fi
}

setup_node() {
    local lock="$here/node/package-lock.json" hash modules
    command -v npm >/dev/null || fail "npm is not installed." "On Debian: apt-get install nodejs npm"
    node -e 'process.exit(+(process.versions.node.split(".")[0] < 20))' ||
        fail "node $(node --version) is too old: the client libraries need 20 or newer."
    hash="$(sha256sum <"$lock" | cut -c1-16)"
    modules="$cache/node-$hash"
    alone "node-$hash"
    if [ ! -e "$modules/.complete" ]; then
        echo "clients/setup.sh: installing the client libraries for Node into $modules" >&2
        rm -rf "$modules"
        mkdir -p "$modules"
        cp "$here/node/package.json" "$lock" "$modules/"
        # Some of the libraries ask for a newer Node than they need; the tests show that they run.
        npm ci --prefix "$modules" --ignore-scripts --no-audit --no-fund --loglevel error >&2 ||
            fail "npm could not install $lock." "It needs a registry: see npm's own configuration, or run it once with a network; the result is cached."
        touch "$modules/.complete"
    fi
    # Node looks for packages beside the program that asks for them.
    [ "$(readlink "$here/node/node_modules" 2>/dev/null)" = "$modules/node_modules" ] ||
        ln -sfn "$modules/node_modules" "$here/node/node_modules"
    echo "$modules"
}

case "${1:-python}" in
python) ;;
node)
    setup_node
    exit
    ;;
*) fail "usage: setup.sh [python [REQUIREMENTS]|node]" ;;
esac

requirements="${2:-$here/requirements.txt}"
python="${PYTHON:-python3}"
command -v "$python" >/dev/null ||
    fail "$python is not installed." "On Debian: apt-get install python3 python3-venv" "Or set PYTHON to an interpreter, 3.11 or newer."
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$("$python" --version 2>&1) is too old: the pinned versions need 3.11 or newer." "Set PYTHON to a newer interpreter."
"$python" -c 'import venv, ensurepip' 2>/dev/null ||
    fail "$python has no venv module." "On Debian: apt-get install python3-venv"

version="$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
hash="$( (cat "$requirements"; echo "$version") | sha256sum | cut -c1-16)"
venv="$cache/venv-$hash"
alone "venv-$hash"
if [ ! -e "$venv/.complete" ]; then
    echo "clients/setup.sh: installing $requirements into $venv" >&2
    rm -rf "$venv"
    "$python" -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -r "$requirements" >&2 ||
        fail "pip could not install $requirements." "It needs a package index: see PIP_INDEX_URL, or run it once with a network; the result is cached."
    "$venv/bin/python" -m pip check --disable-pip-version-check >&2 ||
        fail "the frozen versions in $requirements do not fit together."
    touch "$venv/.complete"
fi
echo "$venv"
