#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# What planning costs: the processor time of create, revert, clone and delete
# before they touch anything, for a domain that is off and has many snapshots,
# at a quarter, half and all of them.  It reports and never fails for a figure.
#
#   tools/bench/plan.sh [RECORDS [DISKS]]
#
# The aim at 2000 records of 4 disks: under a second each, and growth that is
# no worse than linear.  Needs 1.5 GB in TMPDIR for the images, and no Xen.
set -eu
cd "$(dirname "$(readlink -f "$0")")/../.."
build=${BUILD:-build}
records=${1:-2000}
disks=${2:-4}
T=$(mktemp -d "${TMPDIR:-/tmp}/xl-snapshot-bench.XXXXXX")
trap 'rm -rf "$T"' EXIT

make --no-print-directory build >/dev/null
${CC:-gcc} -std=gnu11 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -Ixl-snapshot \
    -o "$T/plan" tools/bench/plan.c "$build/libsnap.a" \
    -lyajl -lxxhash -lpthread -ldl
for n in $((records / 4)) $((records / 2)) "$records"; do
    mkdir -p "$T/d/img"
    qemu-img create -q -f qcow2 "$T/d/base.qcow2" 64M
    qemu-img create -q -u -f qcow2 -F qcow2 -b "$T/d/img/a-00000.qcow2" \
        "$T/d/over.qcow2" 64M
    "$T/plan" "$T/d" "$n" "$disks" >"$T/$n"
    rm -r "$T/d"
done
echo "ms of processor time, the least of three; $disks disks"
paste -d' ' "$T/$((records / 4))" "$T/$((records / 2))" "$T/$records" |
    awk -v a=$((records / 4)) -v b=$((records / 2)) -v c="$records" '
    BEGIN { printf "%-10s %10s %10s %10s   %s\n", "records", a, b, c,
                "twice as many cost" }
    { printf "%-10s %10.0f %10.0f %10.0f   %.1f times\n", $1, $2, $4, $6,
        $6 / $4
      if ($6 > worst) worst = $6
      if ($6 / $4 > growth) growth = $6 / $4 }
    END { printf "%s: the dearest plan takes %.0f ms; the aim is at most 1000\n",
            worst <= 1000 ? "met" : "missed", worst
          printf "%s: twice as many snapshots cost %.1f times; linear is 2\n",
            growth <= 2.3 ? "met" : "missed", growth }'
