#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# What it costs to list many snapshots, beside ls -l of the same folder.  Both
# in turns, since other work on the machine comes and goes; the best of each is
# compared.  It reports and never fails for a figure.
#
#   tools/bench/list.sh [RECORDS [ROUNDS]]
#
# The aim: at most five times ls -l.  SNAP_LIST is the command to measure,
# default build/xl-snapshot; it works without Xen.
set -eu
cd "$(dirname "$(readlink -f "$0")")/../.."
build=${BUILD:-build}
records=${1:-10000}
rounds=${2:-7}
list=${SNAP_LIST:-$build/xl-snapshot}
T=$(mktemp -d "${TMPDIR:-/tmp}/xl-snapshot-bench.XXXXXX")
trap 'rm -rf "$T"' EXIT
export LC_ALL=C

make --no-print-directory build >/dev/null
${CC:-gcc} -std=gnu11 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -Ixl-snapshot \
    -o "$T/records" tools/bench/records.c "$build/libsnap.a" \
    -lyajl -lxxhash -lpthread -ldl
mkdir -m 700 "$T/store"
"$T/records" "$T/store" "$records"
folder=$(echo "$T"/store/*/records)

# one COMMAND...: "REAL CPU" in milliseconds
one() {
    local TIMEFORMAT='%R %U %S'
    { time "$@" >"$T/out" 2>/dev/null; } 2>&1 |
        awk '{ printf "%.0f %.0f\n", $1 * 1000, ($2 + $3) * 1000 }'
}

measure() {     # file, command...
    local file=$1
    shift
    one "$@" >>"$T/$file"
}
best() {        # file, column
    sort -n -k "$2,$2" "$T/$1" | awk -v c="$2" 'NR == 1 { print $c }'
}

"$list" --store "$T/store" list >"$T/out" 2>/dev/null
lines=$(grep -c hourly- "$T/out")
for ((i = 0; i < rounds; i++)); do
    measure ls ls -l "$folder"
    measure list "$list" --store "$T/store" list
    measure tree "$list" --store "$T/store" list --tree
    measure json "$list" --store "$T/store" list --json
done

echo "$lines snapshots of $records, $(du -sh "$folder" | cut -f1) of records," \
    "$(nproc) processors, best of $rounds rounds"
printf '%-14s %10s %10s %12s %12s\n' '' 'ms' 'CPU ms' 'times ls -l' 'CPU times'
for what in ls list tree json; do
    awk -v what="$what" -v t="$(best $what 1)" -v c="$(best $what 2)" \
        -v lt="$(best ls 1)" -v lc="$(best ls 2)" 'BEGIN {
            lt = lt ? lt : 1; lc = lc ? lc : 1
            printf "%-14s %10d %10d %12.1f %12.1f\n", \
                what == "ls" ? "ls -l" : what == "list" ? "list" : \
                "list --" what, t, c, t / lt, c / lc }'
done
