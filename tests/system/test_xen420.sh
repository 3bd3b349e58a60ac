#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# limit: 1500
# takes: 235
# release: trixie
#
# Debian 13 (Xen 4.20, QEMU 10, Linux 6.12): create with memory and both disks,
# change everything, go back, list, delete; for each type of guest.  The other
# scripts ask the rest, of Debian 12.

# shellcheck source=tests/system/create_revert.sh
. "$(dirname "$0")/create_revert.sh"

this_xen() {
    uname -r
    has "$(xl info xen_version)" '^4\.20'
}

# Gone from the list, from the store and from the guest's folder; the guest
# notices nothing of it.
listed_and_deleted() { # NAME SNAPSHOT
    local g=$1 boot
    boot=$(boot_of "$g")
    eq "listed" "$2" \
        "$(xl snapshot-list --json "$g" | jq -r '[.snapshots[].name] | join(" ")')"
    run xl snapshot-delete "$g" "$2"
    one_instant "$g" "boot=$boot"
    ticks_go_on "$g"
    eq "records" "" "$(ls "$(store_of "$g")/records")"
}

# What a snapshot in the middle held goes into an image that is itself below
# others: QEMU 10 keeps that one open for writing afterwards, QEMU 7.2 did not.
# It is frozen again all the same, and then deleted itself.
chain() { # NAME
    local g=$1 boot i
    boot=$(boot_of "$g")
    for i in 1 2 3; do
        ask "$g" fill "$i" 2 >/dev/null
        snapshot "$g" -D -n "c$i" --type external
    done
    ask "$g" fill 4 2 >/dev/null
    for i in 2 3; do
        run xl snapshot-delete "$g" "c$i"
        one_instant "$g" "boot=$boot"
        [ "$i" = 3 ] || run xl snapshot-info --check "$g" c3
    done
    eq "data on both disks" "$(expected_sums "$g" 4 2)" "$(sums_of "$g")"
}

main_job() { # TYPE
    local g=x-$1
    t "$1: guest starts" -s 400 fresh "$g" "$1"
    passed || return
    t "$1: create, ruin, revert: one instant" \
        story "$g" s1 "internal external" 11
    passed && t "$1: listed, and deleted under the guest" listed_and_deleted "$g" s1
    passed && [ "$1" = pv ] && t "$1: deleted in a chain" chain "$g"
    t "$1: the guest is gone, all images clean" gone_clean "$g"
    wipe "$g"
}

gone_clean() { # NAME
    guest destroy "$1"
    images_clean "$1"
}

t "dom0 is on Xen 4.20" this_xen
for type in pv pvh hvm; do
    main_job $type
done
verdict
