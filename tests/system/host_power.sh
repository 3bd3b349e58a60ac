#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# limit: 3000
# takes: 180
#
# The power is cut at a random moment of a command: the lab's QEMU is killed,
# its disk loses what was not flushed (tools/lab/host/labdisk.c), and the same
# disk is booted again.  Then recover, and everything is looked at: every
# image, every file, the guest from its disks, the newest snapshot.
#
#   host_power.sh [CUTS [SEED]]         SEED repeats the draws
#
# The disk needs 3 GB in TMPDIR.

# The checks are called by name:
# shellcheck disable=SC2317
set -u
cd "$(dirname "$(readlink -f "$0")")/../.." || exit 1
# shellcheck source=tests/system/moments.sh
. tests/system/moments.sh
# shellcheck source=tests/lib/tap.sh
. tests/lib/tap.sh
cuts=${1:-1}
seed=${2:-7}
name=power-$$
logs=${BUILD:-build}/test-logs/host_power
tmp=$(mktemp -d)
disk=$tmp/disk.img
rm -rf "$logs"
mkdir -p "$logs"
trap 'tools/lab/lab kill --name "$name" >/dev/null 2>&1; rm -rf "$tmp"' EXIT
trap 'exit 143' INT TERM HUP

check() { # WHAT COMMAND...
    local what=$1 status=0 from=$SECONDS
    shift
    : >"$tmp/note"
    if "$@" >"$tmp/out" 2>&1; then
        ok "$what ($((SECONDS - from)) s)"
        sed 's/^/# /' "$tmp/note"
    else
        not_ok "$what" "$(tail -n 60 "$tmp/out" | tr -d '\r')"
        status=1
    fi
    cp "$tmp/out" "$logs/${what//[^A-Za-z0-9]/_}.log"
    return $status
}

lab() {
    local command=$1
    shift
    tools/lab/lab "$command" --name "$name" "$@"
}

in_dom0() { # SECONDS POWER-SH-ARGUMENT...
    local s=$1
    shift
    echo "--- $*"
    lab exec --timeout "$s" -- /root/system/scripts/power.sh "$@"
}

power_on() {
    lab up --disk "$disk" --lossy
}

setup() {
    power_on && lab install && lab put tests/system /root/system &&
        in_dom0 600 setup && lab exec -- sync
}

# The moment is a part of the time that its kind took when it last came to its
# end.
cut_at() { # THOUSANDTHS KIND N
    local ms pid end=$((SECONDS + 60))
    ms=$(($(took "$tmp" "$2") * $1 / 1000))
    in_dom0 600 go "$2" "$3" >"$tmp/go" 2>&1 &
    pid=$!
    until grep -qx go "$tmp/go"; do
        [ "$SECONDS" -lt "$end" ] || { cat "$tmp/go"; return 1; }
        sleep 0.01
    done
    sleep "$((ms / 1000)).$(printf %03d $((ms % 1000)))"
    lab kill 2>"$tmp/said" || return 1
    wait "$pid"
    cat "$tmp/go" "$tmp/said"
    grep -o 'power cut: .*' "$tmp/said" >>"$tmp/note"
    sed -n 's/^took \([0-9]*\)$/\1/p' "$tmp/go" >"$tmp/now"
    [ ! -s "$tmp/now" ] || mv "$tmp/now" "$tmp/took-${2%%-*}"
    if grep -q '^failed:' "$tmp/go"; then
        echo "it failed before the cut"
        return 1
    fi
}

one_cut() { # KIND N THOUSANDTHS
    in_dom0 600 before "$1" "$2" && cut_at "$3" "$1" "$2" && power_on &&
        in_dom0 900 after "$1" "$2" &&
        grep -o 'the journal: .*' "$tmp/out" >>"$tmp/note"
}

echo "# seed $seed: tests/system/run tests/system/host_power.sh $cuts $seed"
RANDOM=$seed
# What a lab's disk loses is drawn when it is switched on.
export LAB_CUT_SEED=$RANDOM
check "a lab on a disk that can lose its cache" setup || finish
for ((i = 1; i <= cuts; i++)); do
    kind=${KINDS[(i - 1 + seed) % ${#KINDS[@]}]}
    at=$((RANDOM % 1000)) LAB_CUT_SEED=$RANDOM
    check "cut $i: $kind at $at/1000" one_cut "$kind" $((i + 1)) $at && continue
    # Kept for whoever wants to look.
    cp --sparse=always "$disk" "$logs/cut-$i.img"
    tools/lab/lab status | grep -q "^$name: running" || power_on 2>/dev/null ||
        break
    check "a new guest" in_dom0 600 setup || break
done
finish
