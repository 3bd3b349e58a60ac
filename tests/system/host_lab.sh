#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# limit: 500
# takes: 40
#
# The lab itself, seen from outside: what is put in comes out again, a run that
# hangs is ended and says where, and nothing stays behind.

# The checks are called by name:
# shellcheck disable=SC2317
set -u
cd "$(dirname "$(readlink -f "$0")")/../.." || exit 1
# shellcheck source=tests/lib/tap.sh
. tests/lib/tap.sh
name=lab-$$
tmp=$(mktemp -d)
trap 'tools/lab/lab kill --name "$name" >/dev/null 2>&1; rm -rf "$tmp"' EXIT
trap 'exit 143' INT TERM HUP

check() { # WHAT COMMAND...
    local what=$1 from=$SECONDS
    shift
    if "$@" >"$tmp/out" 2>&1; then
        ok "$what ($((SECONDS - from)) s)"
    else
        not_ok "$what" "$(cat "$tmp/out")"
    fi
}

lab() {
    local command=$1
    shift
    tools/lab/lab "$command" --name "$name" "$@"
}

status_of() { # EXPECTED COMMAND...
    local want=$1 status=0
    shift
    "$@" || status=$?
    [ "$status" -eq "$want" ] || { echo "status $status, not $want"; return 1; }
}

there_and_back() {
    printf 'a\0b\n' >"$tmp/in"
    lab put "$tmp/in" /root/in && lab exec -- cp /root/in /root/out &&
        lab get /root/out "$tmp/back" && cmp "$tmp/in" "$tmp/back"
}

output_and_errors() {
    [ "$(lab exec -- sh -c 'echo out; echo err >&2; exit 3' 2>"$tmp/err"
        echo $?)" = "out
3" ] && grep -qx err "$tmp/err"
}

says_where() {
    status_of 124 tools/lab/lab run --name "$name-h" --no-install --timeout 60 \
        tests/system/scripts/hang.sh >"$tmp/hang" 2>&1
    cat "$tmp/hang"
    grep -q 'last step: .*about to hang' "$tmp/hang" &&
        grep -qx 'some output' "$tmp/hang" &&
        ! tools/lab/lab status | grep "^$name-h: running"
}

# What a lab that starts from the saved machine must have as one that booted.
like_booted() {
    local now
    now=$(date +%s)
    # shellcheck disable=SC2016 # in dom0
    lab exec -- bash -c '
        set -e
        off=$(($(date +%s) - $1)); [ ${off#-} -le 5 ] || { date; exit 1; }
        mountpoint -q /lab && [ -x /lab/bin/guest ]
        xl list | grep -q Domain-0
        xenstore-read domid >/dev/null || xenstore-ls / >/dev/null
        [ -e /root/guest/vmlinux ] && [ -e /root/guest/initrd ]
        echo one >/root/written; sync' - "$now"
}

saved() {
    lab up && like_booted
}

saved_anew() {
    lab kill && lab up && lab exec -- test ! -e /root/written
}

check "a lab starts" lab up
check "it has what it needs" like_booted
check "files go in and come out" there_and_back
check "output, errors and status come back" output_and_errors
check "a command that takes too long is ended" \
    status_of 124 lab exec --timeout 3 -- sleep 1000
check "and the lab still answers" lab exec -- true
check "Xen is there" lab exec -- xl info
check "cutting the power" lab kill
check "a command is told that the machine is gone" status_of 1 lab exec -- true
check "process 1 is nobody that it does not know" status_of 2 lab up --init upstart
# Only where it is asked for (tests/soak): such a machine is not to be relied on.
if [ -n "${LAB_SAVED:-}" ]; then
    check "a lab goes on from a saved machine" saved
    check "the next of them has nothing of it" saved_anew
    check "and ends" lab kill
fi
# A flush keeps what was written; without one a power cut may take it.  Of
# 200 blocks and three cuts some are lost, unless all draws say "all".
keeps_and_loses() {
    local disk=$tmp/lossy.img i lost=0
    for i in 1 2 3; do
        LAB_CUT_SEED=$i lab up --disk "$disk" --lossy || return 1
        # shellcheck disable=SC2016 # in dom0
        lab exec -- bash -c '
            [ "$1" = 1 ] || cmp /root/kept /root/kept.again || exit 1
            head -c 1M /dev/urandom >/root/kept
            cp /root/kept /root/kept.again; sync
            dd if=/dev/urandom of=/root/loose bs=4k count=200 status=none
            sync -d /root/loose
            dd if=/dev/zero of=/root/loose bs=4k count=200 conv=notrunc \
                oflag=direct status=none' - "$i" || return 1
        lab kill 2>"$tmp/said" || return 1
        cat "$tmp/said"
        grep -q 'power cut: .* (seed' "$tmp/said" || return 1
        grep -qE 'cut: ([0-9]+) blocks were not flushed, \1 of' "$tmp/said" ||
            lost=1
    done
    rm -f "$disk"
    [ "$lost" = 1 ]
}

# A minute each; the lab is not the product.
if [ "${EVERYTHING:-}" ]; then
    check "a power cut takes what was not flushed, and only that" keeps_and_loses
    check "a script that hangs is ended, and says where" says_where
else
    echo "# only in check-all: a power cut takes what was not flushed; a script that hangs"
fi
finish
