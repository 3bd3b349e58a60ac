#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# The part of host_power.sh that runs in dom0.
#
#   power.sh setup             a guest with a first snapshot
#   power.sh before KIND N     the guest runs and is what the command needs
#   power.sh go KIND N         says "go" and runs it; the power may be cut
#   power.sh after KIND N      the machine was booted again: look at all of it

# shellcheck source=tests/system/crash.sh
. "$(dirname "$0")/../crash.sh"
trap 'rm -rf "$WORK"' EXIT
set -eE
trap 'echo "failed: line $LINENO, $BASH_COMMAND"' ERR

# What dom0 keeps in memory goes to the disk as it would on an idle machine,
# so that only what the command wrote is at stake.  From then on it goes there
# at once instead of with the next flush: a disk that has nothing in its cache
# has nothing to lose.
settle() {
    sync
    sleep 0.2
    echo 65536 >/proc/sys/vm/dirty_background_bytes
    echo 2 >/proc/sys/vm/dirty_expire_centisecs
    echo 2 >/proc/sys/vm/dirty_writeback_centisecs
}

go() { # KIND N
    local status=0 from
    command_of "$1" "$2"
    echo "\$ ${CMD[*]}"
    echo go
    from=${EPOCHREALTIME/./}
    "${CMD[@]}" || status=$?
    echo "took $(((${EPOCHREALTIME/./} - from) / 1000))"
    [ $status -eq 0 ]
}

after() { # KIND N
    local last seeds=("$2")
    command_of "$1" "$2"
    case $1 in revert*) seeds+=("$(seed_of "${CMD[-1]}")") ;; esac
    echo "the journal: $(journal)"
    recovered
    if xl domid $g >/dev/null 2>&1; then
        # recover booted it again from the disks it had.
        guest ready $g
        one_instant $g
        data_is "${seeds[@]}"
        all_clean leaks
    else
        all_clean leaks
        start_from_disks
        data_is "${seeds[@]}"
        guest destroy $g
    fi
    last=$(newest)
    run xl snapshot-info --check $g "$last"
    back_to "$last"
    reboot_inside $g
    one_instant $g
    data_is "$(seed_of "$last")"
}

case $1 in
setup)  new_guest ;;
before) before "$2" "$3"; settle ;;
go)     go "$2" "$3" ;;
after)  after "$2" "$3" ;;
esac
