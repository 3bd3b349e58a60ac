#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# limit: 1500
# takes: 110
#
# Called from a systemd unit: the unit's control group is killed when the
# command has ended (KillMode=control-group), or in the middle of it.  And what
# is looked at before a guest is destroyed: xl's lock, the kernel.

# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

g=unit
c=unit-clone
CG=/sys/fs/cgroup
mountpoint -q $CG || mount -t cgroup2 none $CG || exit 1

kill_unit() { # all in it; returns when it is empty
    local end=$((SECONDS + 20))
    echo 1 >$CG/unit/cgroup.kill || return 1
    while grep -q 'populated 1' $CG/unit/cgroup.events; do
        [ $SECONDS -lt $end ] || { fail "the unit does not end"; return 1; }
        nap 0.1
    done
    rmdir $CG/unit
}

# What systemd does: a group, a bare environment, and at the end all in the
# group killed.
unit_start() { # COMMAND...
    mkdir $CG/unit || return 1
    echo "in a unit: $*"
    (
        echo "$BASHPID" >$CG/unit/cgroup.procs
        exec env -i PATH=/usr/bin:/bin LANG=C "$@"
    ) >"$WORK/unit.out" 2>&1 </dev/null &
    UNIT=$!
}

in_unit() { # COMMAND...
    local status=0
    unit_start "$@" || return 1
    wait "$UNIT" || status=$?
    cat "$WORK/unit.out"
    kill_unit || return 1
    return $status
}

XL=$(command -v xl)

group_of() { # PID
    sed -n 's/^0:://p' "/proc/$1/cgroup"
}

groups_of() { # NAME ; of its QEMU and of its monitor
    local qemu pid
    qemu=$(xenstore-read "/local/domain/$(xl domid "$1")/image/device-model-pid")
    pid=$(monitor_of "$1") || fail "no monitor"
    echo "$(group_of "$qemu") $(group_of "$pid")"
}

# Its QEMU and its monitor are there, and in no unit.
lives_on() { # NAME
    eq "groups of QEMU and of the monitor" "/xl-snapshot /xl-snapshot" "$(groups_of "$1")" ||
        return 1
    ticks_go_on "$1"
}

mark_of() { # NAME
    xenstore-read "/local/domain/$(xl domid "$1")/xl-snapshot" 2>/dev/null
}

begin() {
    fresh $g pvh
    snapshot $g --disk-only -n disks
    snapshot $g -n memory
    [ -z "$(mark_of $g)" ] || fail "a mark, and nobody built it"
}

revert_memory() {
    in_unit "$XL" snapshot-revert $g memory
    one_instant $g
    lives_on $g
    has "$(mark_of $g)" '^[a-z0-9]{1,16}$'
    # Stored, it would come back with every reboot.
    hasnt "$(strings -a "/var/lib/xen/userdata-d.$(xl domid $g).$(uuid_of $g).libxl-json")" \
        xl-snapshot
    reboot_inside $g
    [ -z "$(mark_of $g)" ] || fail "the mark outlived a reboot"
    lives_on $g
}

revert_disks() {
    local boot
    boot=$(boot_of $g)
    in_unit "$XL" snapshot-revert $g disks
    boots_anew $g "$boot"
    lives_on $g
    has "$(mark_of $g)" '^[a-z0-9]{1,16}$'
    reboot_inside $g
    [ -z "$(mark_of $g)" ] || fail "the mark outlived a reboot"
    lives_on $g
}

clone() {
    in_unit "$XL" snapshot-clone $g memory $c
    lives_on $c
    guest destroy $c
}

# The whole unit is killed while the guest stands.
killed() {
    local end=$((SECONDS + 60)) domid status=0 groups
    domid=$(xl domid $g)
    groups=$(groups_of $g)
    unit_start "$XL" snapshot-create -n torn $g
    until has "$(state_of $g)" s >/dev/null; do
        [ $SECONDS -lt $end ] || fail "it was never suspended"
        nap 0.02
    done
    kill_unit
    wait "$UNIT" || true
    cat "$WORK/unit.out"
    ticks_go_on $g || status=1
    run xl snapshot-recover $g
    [ $status = 0 ] || fail "it stood until snapshot-recover"
    eq "domain" "$domid" "$(xl domid $g)"
    one_instant $g
    # Nobody built it anew: where it was, whoever had started it.
    eq "groups of QEMU and of the monitor" "$groups" "$(groups_of $g)"
    ticks_go_on $g
}

# Another builds a domain for 20 s: the guest runs until it is done.
lock_held() {
    local holder pid before now
    grep -q '^autoballoon="on"' /etc/xen/xl.conf ||
        echo 'autoballoon="on"' >>/etc/xen/xl.conf
    perl -MFcntl -e 'open F, ">>", "/var/lock/xl" or die;
        my $l = pack "s s x4 q q i x4", F_WRLCK, 0, 0, 0, 0;
        fcntl F, F_SETLKW, $l or die;
        $| = 1; print "held\n"; sleep 20' >"$WORK/held" &
    holder=$!
    until grep -q held "$WORK/held"; do
        [ -d /proc/$holder ] || fail "the lock cannot be held"
        nap 0.1
    done
    before=$(tick_of $g)
    xl snapshot-revert $g memory >"$WORK/revert.out" 2>&1 &
    pid=$!
    while [ -d /proc/$holder ] && [ -d /proc/$pid ]; do
        now=$(tick_of $g) || fail "the guest was gone while the lock was held"
        nap 1
    done
    cat "$WORK/revert.out"
    [ "$now" -gt $((before + 3)) ] || fail "the guest stood at $now"
    wait $pid
    cat "$WORK/revert.out"
    has "$(cat "$WORK/revert.out")" "$holder"
    sed -i '/^autoballoon="on"$/d' /etc/xen/xl.conf
    one_instant $g
    reboot_inside $g
}

# dom0 was upgraded, and the kernel of the guest went with the old one.
kernel_gone() {
    local kernel domid status=0
    domid=$(xl domid $g)
    kernel=$(sed -n 's/^kernel = "\(.*\)"$/\1/p' "$(guest cfg $g)")
    [ -f "$kernel" ] || fail "no kernel in its xl.cfg"
    mv "$kernel" "$kernel.away"
    refused 1 "kernel $kernel: No such file" xl snapshot-revert $g disks ||
        status=1
    mv "$kernel.away" "$kernel"
    [ $status = 0 ]
    eq "domain" "$domid" "$(xl domid $g)"
    ticks_go_on $g
    # What needs no kernel is done without.
    mv "$kernel" "$kernel.away"
    run xl snapshot-revert $g memory || status=1
    mv "$kernel.away" "$kernel"
    [ $status = 0 ]
    one_instant $g
}

finish() {
    poweroff_inside $g
    images_clean $g
}

t "a guest with two snapshots" begin
rare "unit: revert with memory, then the unit is killed" revert_memory
rare "unit: revert without memory, then the unit is killed" revert_disks
rare "unit: clone, then the unit is killed" clone
t "unit: killed while the guest stands" killed
t "xl's lock held by another: waited for, the guest running" lock_held
t "the kernel is gone: refused before anything is destroyed" kernel_gone
t "the guest powers off, its images are clean" finish
wipe $g $c
verdict
