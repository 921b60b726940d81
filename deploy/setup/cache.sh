# Sourced by the set-up scripts: where downloads are kept, and how they speak to the user.
# Progress goes to standard error; the last line on standard output is the script's result.

cache=${LEDGERLINE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ledgerline}
mkdir -p "$cache"

say() { printf 'setup: %s\n' "$*" >&2; }
fail() {
    printf 'setup: %s\n' "$1" >&2
    shift
    for hint in "$@"; do printf '       %s\n' "$hint" >&2; done
    exit 1
}
