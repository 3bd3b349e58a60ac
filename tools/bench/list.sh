#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# What it costs to list many snapshots of a domain, beside ls -l of the folder
# with their records.  All in turns, since other work on the machine comes and
# goes: each round compares its own, and the median of the rounds counts.  It
# reports and never fails for a figure.
#
#   tools/bench/list.sh [RECORDS [ROUNDS]]
#
# The aim: at most five times ls -l.  SNAP_LIST is the command to measure,
# default build/xl-snapshot; it works without Xen.  CPU time is that of all
# processors together: what it would take on one.
set -eu
cd "$(dirname "$(readlink -f "$0")")/../.."
build=${BUILD:-build}
records=${1:-10000}
rounds=${2:-9}
aim=5
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

domain=$(basename "$(dirname "$folder")")

# one FILE COMMAND...: adds a line "REAL CPU" in milliseconds
one() {
    local file=$T/$1 TIMEFORMAT='%R %U %S'
    shift
    { time "$@" >"$T/out" 2>/dev/null; } 2>&1 |
        awk '{ printf "%.1f %.1f\n", $1 * 1000, ($2 + $3) * 1000 }' >>"$file"
}
snap() {        # file, options...
    local file=$1
    shift
    one "$file" "$list" --store "$T/store" list "$domain" "$@"
}
median() {      # of the numbers in standard input
    sort -n | awk '{ v[NR] = $1 }
        END { print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'
}
of() {          # file, column
    awk -v c="$2" '{ print $c }' "$T/$1" | median
}
ratio() {       # file, column: to that of ls in the same round
    paste -d' ' "$T/$1" "$T/ls" |
        awk -v c="$2" '$(c + 2) { print $c / $(c + 2) }' | median
}

"$list" --store "$T/store" list "$domain" >"$T/out" 2>/dev/null
lines=$(grep -c hourly- "$T/out")
ls -l "$folder" >"$T/out"
for ((i = 0; i < rounds; i++)); do
    one ls ls -l "$folder"
    snap list
    snap tree --tree
    snap json --json
done

echo "$lines snapshots of $records, $(du -sh "$folder" | cut -f1) of records," \
    "$(nproc) processors, medians of $rounds rounds"
printf '%-14s %10s %10s %12s %12s\n' '' 'ms' 'CPU ms' 'times ls -l' 'CPU times'
for what in ls list tree json; do
    printf '%-14s %10.0f %10.0f %12.1f %12.1f\n' \
        "$(case $what in ls) echo 'ls -l' ;; list) echo list ;; *) echo "list --$what" ;; esac)" \
        "$(of $what 1)" "$(of $what 2)" "$(ratio $what 1)" "$(ratio $what 2)"
done
awk -v r="$(ratio list 1)" -v aim="$aim" -v n="$lines" -v all="$records" 'BEGIN {
    printf "%s: list takes %.1f times what ls -l takes; the aim is at most %d\n",
        n == all && r <= aim ? "met" : "missed", r, aim }'
