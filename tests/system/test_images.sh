#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# limit: 900
# takes: 180
#
# What an image says is not believed, and how deep a chain is does not matter:
# a raw disk that begins like a qcow2 over somebody else's image, with a file
# of the host as its data file; and seventy overlays under a running guest.
# And what dom0 itself has of a guest's image is seen, whatever is over it.

# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

g=header
HOST=$WORK/hostfile

# The third disk of g, raw, which the guest does not use: what a guest could
# have written to it.
forge() { # BACKING
    local d
    d=$(guest dir $g)
    run qemu-img create -q -f qcow2 -u -b "$1" -F qcow2 \
        -o "data_file=$HOST" "$WORK/forged" 16M
    dd if="$WORK/forged" of="$d/xvdc.raw" conv=notrunc status=none
    rm -f "$WORK/forged"
    seq 1 5000 >"$HOST"
    sha256sum "$HOST" "$d/xvdc.raw" >"$WORK/sums"
}

kept() {
    run sha256sum --quiet -c "$WORK/sums"
}

forged_guest() {
    wipe $g
    run guest make $g --type pvh --disk xvda:qcow2:128M \
        --disk xvdb:raw:192M --disk xvdc:raw:16M
    forge "$(guest dir $g)/xvda.qcow2"
    run guest start $g
    ask $g fill 1 1 >/dev/null
}

# A snapshot of all of them, and its deletion: refused or done, but neither
# file is written to.
forged() {
    local status=0
    snapshot $g -D --type external -n "$1" --no-disk xvdc
    kept
    run xl snapshot-info --check $g "$1"
    xl snapshot-delete $g "$1" || status=$?
    echo "delete: status $status"
    kept
    one_instant $g
    eq "data" "$(expected_sums $g 1 1)" "$(sums_of $g)"
    eq "delete's status" 0 $status
}

# Nothing that is known of the domain says now what the third disk is: it may
# be refused, with the way out.
forged_off() {
    local status=0
    guest destroy $g
    run xl snapshot-create -n off --type external --no-disk xvdc \
        --domain-config "$(guest cfg $g)" $g
    kept
    SAID=$(xl snapshot-delete $g off 2>&1) || status=$?
    echo "status $status: $SAID"
    if [ $status -ne 0 ]; then
        has "$SAID" 'xvdc.raw looks like an image .*move it'
    fi
    kept
    images_clean $g
}

# One that names an image which is in no dom0: a guest's own guest's.  It goes
# into snapshots as the bytes that it is.
nested() {
    local before
    forge /srv/nested/base.qcow2
    before=$(sha256sum <"$(guest dir $g)/xvdc.raw")
    snapshot_off one
    snapshot_off two
    run xl snapshot-delete $g one
    run xl snapshot-delete $g two
    run sha256sum --quiet -c <(head -n 1 "$WORK/sums")
    qemu-img convert -O raw "$(jq -r \
        '.disks[] | select(.vdev == "xvdc") | .active.id' \
        "$(store_of $g)/state.json")" "$WORK/third"
    eq "the third disk" "$before" "$(sha256sum <"$WORK/third")"
}

snapshot_off() {
    run xl snapshot-create -n "$1" -D --type external $g
}

# --- seventy overlays ---

d=deep

deep_guest() {
    local dir prev i
    wipe $d
    run guest make $d --type pvh --disk xvda:qcow2:128M
    dir=$(guest dir $d)
    prev=$dir/xvda.qcow2
    for ((i = 1; i <= 68; i++)); do
        qemu-img create -q -f qcow2 -u -b "$prev" -F qcow2 "$dir/c$i.qcow2" 128M
        prev=$dir/c$i.qcow2
    done
    sed -i "s#$dir/xvda.qcow2#$prev#" "$(guest cfg $d)"
    run guest start $d
}

deep() {
    local boot i leaf
    boot=$(boot_of $d)
    leaf=$(images_of $d)
    LOOP=$(losetup -f --show "$leaf")
    refused 1 "$leaf is in use by $LOOP" \
        xl snapshot-create -D --type external -n s0 $d
    run losetup -d "$LOOP"
    for i in 1 2 3; do
        snapshot $d -D --type external -n "s$i"
    done
    run xl snapshot-list $d
    run xl snapshot-info --check $d s2
    run xl snapshot-delete $d s2
    eq "boot" "$boot" "$(boot_of $d)"
    ticks_go_on $d
    # It would go away.
    leaf=$(images_of $d)
    exec 8<"$leaf"
    refused 1 "$leaf is in use by [a-z_.]+ .process" xl snapshot-revert $d s1
    exec 8<&-
    eq "boot" "$boot" "$(boot_of $d)"
    run xl snapshot-revert $d s1
    boots_anew $d "$boot"
    run xl snapshot-delete $d s3
    run xl snapshot-delete $d s1
    ticks_go_on $d
}

# --- what dom0 has of an image: a guest that never runs ---

h=had
AT=$WORK/at
MD=/sys/block/md_$h

# have_X IMAGE makes a user of an image, and sets HAVE, what is said of it;
# leave_X takes it away.
attach() { # IMAGE [OPTION...] ; sets LOOP
    LOOP=$(losetup -f "${@:2}" --show "$1")
    HAVE=$LOOP
}

have_mount() {
    run mount -o loop "$1" "$AT"
    LOOP=$(findmnt -no SOURCE "$AT")
    HAVE="$LOOP \\(mounted at $AT\\)"
}
leave_mount() { run umount "$AT"; }

have_mapping() {
    attach "$1"
    run dmsetup create $h \
        --table "0 $(blockdev --getsz "$LOOP") linear $LOOP 0"
    HAVE="$LOOP \\(under /dev/mapper/$h\\)"
}
leave_mapping() { run dmsetup remove --retry $h; run losetup -d "$LOOP"; }

have_mounted_mapping() {
    have_mapping "$1"
    run mount /dev/mapper/$h "$AT"
    HAVE="$LOOP \\(under /dev/mapper/$h, mounted at $AT\\)"
}
leave_mounted_mapping() { run umount "$AT"; leave_mapping; }

# Through sysfs, as mdadm would.
have_md() {
    attach "$1"
    run modprobe md-mod
    run eval "echo md_$h >/sys/module/md_mod/parameters/new_array"
    run eval "cat /sys/class/block/${LOOP#/dev/}/dev >$MD/md/new_dev"
    HAVE="$LOOP \\(under /dev/md_$h\\)"
}
leave_md() {
    run eval "echo remove >$MD/md/dev-${LOOP#/dev/}/state"
    run eval "echo clear >$MD/md/array_state"
    run losetup -d "$LOOP"
}

# By a bind mount's name, which is no more; and the image's own is a hard link.
have_renamed() {
    run mount --bind "$(dirname "$1")" "$AT"
    attach "$AT/$(basename "$1")"
    run umount -l "$AT"
    run mv "$1" "$1.away"
    run ln "$1.away" "$1"
    run rm "$1.away"
}
leave_renamed() { run losetup -d "$LOOP"; }

# Spoils what is in the image.
have_part() {
    attach "$1" -P
    run addpart "$LOOP" 1 2048 16384
    run udevadm settle
    run mkfs.ext4 -q -F "${LOOP}p1"
    run mount "${LOOP}p1" "$AT"
    HAVE="$LOOP \\(its part ${LOOP}p1, mounted at $AT\\)"
}
leave_part() { run umount "$AT"; run losetup -d "$LOOP"; }

create_off() { # NAME
    xl snapshot-create -D --type external --domain-config "$(guest cfg $h)" \
        -n "$1" $h
}

had_off() {
    local img how before
    wipe $h
    run guest make $h --type pvh --disk xvda:raw:32M
    img=$(guest dir $h)/xvda.raw
    run mkdir -p "$AT"
    before=$(ls "$(guest dir $h)")
    for how in mount mounted_mapping md renamed part; do
        echo "$how"
        have_$how "$img"
        refused 1 "$img is in use by $HAVE" create_off one
        eq "files" "$before" "$(ls "$(guest dir $h)")"
        leave_$how
    done
    sha256sum "$img" >"$WORK/held.sum"
    run create_off one
}

# The overlay that the domain has now, and the image below.
had_leaf() {
    local img leaf
    img=$(guest dir $h)/xvda.raw
    leaf=$(jq -r '.disks[].active.id' "$(store_of $h)/state.json")
    have_mapping "$leaf"
    refused 1 "$leaf is in use by $HAVE" xl snapshot-revert $h one
    refused 1 "$leaf is in use by $HAVE" xl snapshot-delete $h one
    leave_mapping
    attach "$img" -r
    refused 1 "$LOOP uses it" xl snapshot-delete $h one
    run losetup -d "$LOOP"
    run chattr -i "$img"
    have_md "$img"
    refused 1 "$HAVE has it open for writing" xl snapshot-revert $h one
    leave_md
    run xl snapshot-revert --dry-run $h one
    run xl snapshot-delete $h one
    run sha256sum --quiet -c "$WORK/held.sum"
    eq "loop devices" "" "$(losetup -a)"
}

t "what dom0 has of an image is seen: create" -s 300 had_off
if passed; then
    t "the same: revert and delete" -s 300 had_leaf
fi
wipe $h
t "guest with a forged raw disk starts" -s 300 forged_guest
if passed; then
    t "a forged header: snapshot and deletion, running" -s 300 forged one
    t "the same, off" -s 300 forged_off
    t "a header that names what is not here" -s 300 nested
fi
wipe $g
t "guest on 68 overlays starts" -s 300 deep_guest
if passed; then
    t "snapshots, revert and deletions on top of them" -s 500 deep
fi
wipe $d
verdict
