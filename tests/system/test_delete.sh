#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# limit: 1000
# takes: 220
#
# Deleting snapshots in chains, the domain running and off: the guest notices
# nothing, the other snapshots can be gone back to, nothing is left behind.
# test_matrix_internal.sh does it inside images.

# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

take() { # NAME TYPE NUMBER...
    local g=$1 type=$2 i
    shift 2
    for i; do
        ask "$g" fill "$i" 2 >/dev/null
        snapshot "$g" -n "$type$i" --type "$type" -D
    done
    ask "$g" fill 9 2 >/dev/null
}

# Every image in the guest's folder is one that a record or the domain names.
no_orphans() { # NAME
    local f known bad=0
    known=$(jq -r '.disks[].frozen.id' "$(store_of "$1")"/records/*.json \
        2>/dev/null
        jq -r '.disks[].active.id' "$(store_of "$1")/state.json")
    while read -r f; do
        grep -qxF "$f" <<<"$known" || { echo "orphan: $f"; bad=1; }
    done < <(find "$(guest dir "$1")" -type f \
        \( -name '*.qcow2*' -o -name '*.raw' -o -name '*.img' \) | sort)
    find "$(store_of "$1")" -name journal -o -name '*.tmp-*' | grep . && bad=1
    return $bad
}

undisturbed() { # NAME BOOT ; and the data of seed 9
    one_instant "$1" "boot=$2"
    ticks_go_on "$1"
    eq "data of the guest" "$(expected_sums "$1" 9 2)" "$(sums_of "$1")"
}

delete_running() { # NAME SNAPSHOT
    local boot
    boot=$(boot_of "$1")
    run xl snapshot-delete "$1" "$2"
    undisturbed "$1" "$boot"
    no_orphans "$1"
}

delete_off() { # NAME SNAPSHOT
    run xl snapshot-delete "$1" "$2"
    no_orphans "$1"
    images_clean "$1"
}

to_the() { # NAME TYPE NUMBER ; disk-only, so it boots
    local boot=none
    if xl domid "$1" >/dev/null 2>&1; then boot=$(boot_of "$1"); fi
    run xl snapshot-revert "$1" "$2$3"
    boots_anew "$1" "$boot"
    one_instant "$1"
    eq "data of snapshot $3" "$(expected_sums "$1" "$3" 2)" "$(sums_of "$1")"
}

matrix() { # NAME TYPE
    local g=$1 type=$2
    t "$type: four snapshots" -s 300 take "$g" "$type" 1 2 3 4
    passed || return
    t "$type, running: one in the middle" delete_running "$g" "${type}2"
    t "$type, running: the newest" delete_running "$g" "${type}4"
    t "$type: back to the third" to_the "$g" "$type" 3
    t "$type: and to the first" to_the "$g" "$type" 1
    t "$type: two more, and poweroff" two_more "$g" "$type"
    t "$type, off: one in the middle" delete_off "$g" "${type}5"
    t "$type, off: one off the active branch" delete_off "$g" "${type}3"
    t "$type, off: the newest" delete_off "$g" "${type}6"
    t "$type: back to the first, the only one" to_the "$g" "$type" 1
    t "$type, running: the only one" only_one "$g" "${type}1"
    t "$type: it reboots, and all images are clean" ends_well "$g"
}

two_more() { # NAME TYPE
    take "$1" "$2" 5 6
    poweroff_inside "$1"
}

only_one() { # NAME SNAPSHOT
    ask "$1" fill 9 2 >/dev/null
    delete_running "$1" "$2"
    eq "records" "" "$(ls "$(store_of "$1")/records")"
}

ends_well() { # NAME
    reboot_inside "$1"
    one_instant "$1"
    eq "data of the guest" "$(expected_sums "$1" 9 2)" "$(sums_of "$1")"
    poweroff_inside "$1"
    images_clean "$1"
}

g=delete
t "guest starts" fresh $g pvh
passed || { verdict; exit; }
matrix $g external
wipe $g

verdict
