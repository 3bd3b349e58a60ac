#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# In dom0, for host_upgrade.sh: snapshots are taken under one Xen, and gone back
# to under the next.
#
#   upgrade.sh take TYPE...     guests, a snapshot of each, and all is changed
#   upgrade.sh back TYPE        under the other Xen
#
# What stays of the machine is in two file systems, guest.img with the guests'
# images and the kernels that they boot, store.img with the snapshots: the same
# files with the same stamps and attributes, as after an upgrade.  Both are in
# /root/carry.tar when "take" is done, and are to be there for "back".

set -eE
trap 'echo "failed: line $LINENO, $BASH_COMMAND"' ERR
# shellcheck source=tests/system/create_revert.sh
. "$(dirname "$0")/../create_revert.sh"
CARRY=/root/carry

# CARRY's file systems, in their places.
mounted() {
    mkdir -p "$CARRY" "$STORE" /root/guest
    [ ! -e "$CARRY.tar" ] || tar -C "$CARRY" -xSf "$CARRY.tar"
    mount -o loop "$CARRY/guest.img" /root/guest
    mount -o loop "$CARRY/store.img" "$STORE"
}

unmounted() {
    umount /root/guest "$STORE"
    losetup -D
    # The shared folder knows no holes: what is read through it is read in full.
    tar -C "$CARRY" -cSf "$CARRY.tar" guest.img store.img
}

take() { # TYPE...
    local type g kept
    mkdir -p "$CARRY"
    truncate -s 3G "$CARRY/guest.img"
    truncate -s 2G "$CARRY/store.img"
    mkfs.ext4 -q -F "$CARRY/guest.img"
    mkfs.ext4 -q -F "$CARRY/store.img"
    kept=$(mktemp -d)
    cp /root/guest/{vmlinu[xz],initrd} "$kept/"
    mounted
    mv "$kept"/* /root/guest/
    for type; do
        g=up-$type
        fresh "$g" "$type"
        story "$g" s1 "internal external" 11
        ruin "$g"
        declare -p BOOT SUMS TICK >"$(guest dir "$g")/was"
        guest destroy "$g"
    done
    unmounted
}

# It goes on where it was, though another Xen and another QEMU saved it; and it
# boots from the disks that it then has.
back_to() { # TYPE
    local g=up-$1 said
    mountpoint -q "$STORE" || mounted
    # shellcheck source=/dev/null
    . <(sed 's/^declare --/declare -g/' "$(guest dir "$g")/was")
    said=$(xl snapshot-revert "$g" s1 2>&1) || fail "$said"
    echo "$said"
    has "$said" "memory was saved under Xen 4\.17.* here is Xen 4\.20"
    back "$g" 6
    ticks_go_on "$g"
    reboot_inside "$g"
    one_instant "$g"
    eq "data on both disks after a reboot" "$SUMS" "$(sums_of "$g")"
    guest destroy "$g"
    images_clean "$g"
}

command=$1
shift
case $command in
take) take "$@" ;;
back) back_to "$1" ;;
*)    echo "upgrade.sh: take or back?" >&2; exit 2 ;;
esac
