# SPDX-License-Identifier: LGPL-2.1-only
# shellcheck shell=bash
#
# What the tests of the command line share, beside tests/lib/tap.sh.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
# shellcheck source=tests/lib/tap.sh
. tests/lib/tap.sh
BUILD=$(cd "${BUILD:-build}" && pwd) || exit 1
TOP=$PWD
GOLDEN=$TOP/tests/cli/golden
T=$(mktemp -d "${TMPDIR:-/tmp}/xl-snapshot-cli.XXXXXX") || exit 1
export LC_ALL=C
unset POSIXLY_CORRECT

cleanup() {
    [ "${KEEP:-}" ] || rm -rf "$T"
}
trap cleanup EXIT

is() {          # name, got, expected
    if [ "$2" = "$3" ]; then
        ok "$1"
    else
        not_ok "$1" "$(diff <(printf '%s\n' "$3") <(printf '%s\n' "$2"))"
    fi
}

has() {         # name, text, what must be in it
    case $2 in
    *"$3"*) ok "$1" ;;
    *) not_ok "$1" "no '$3' in:
$2" ;;
    esac
}

# run COMMAND...: sets status, out, err
# shellcheck disable=SC2034  # for the caller
run() {
    # The outer one takes what bash says about a command that was killed.
    { "$@" >"$T/out" 2>"$T/err"; } 2>/dev/null
    status=$?
    out=$(cat "$T/out")
    err=$(cat "$T/err")
}

# golden NAME FILE: the file is as tests/cli/golden/NAME; UPDATE=1 writes it.
golden() {
    if [ "${UPDATE:-}" ]; then
        cp "$2" "$GOLDEN/$1"
    fi
    if diff -u "$GOLDEN/$1" "$2" >"$T/diff" 2>&1; then
        ok "$1"
    else
        not_ok "$1" "$(cat "$T/diff")"
    fi
}
