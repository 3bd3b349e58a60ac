#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# limit: 2250
# takes: 220
#
# Life after an external snapshot: everything else that xl does works on the
# new images, nothing can write to the frozen ones, and the daemon of xl that
# watches the domain is the one it was.

# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

g=after
third() { # disk options of a guest with a third disk, which it does not use
    printf '%s\n' --disk xvda:qcow2:256M --disk xvdb:raw:256M \
        --disk xvdc:raw:16M
}
mapfile -t three < <(third)

external() {
    local pid base
    base=$(guest dir $g)
    pid=$(monitor_of $g) || fail "no daemon to begin with"
    ask $g fill 1 4 >/dev/null
    snapshot $g --type external -n e1
    eq "monitor daemon" "$pid" "$(monitor_of $g)"
    hasnt "$(ps -o stat= -p "$pid")" T
    has "$(report '.notes | join("\n")')" "$base/xvda.qcow2"
    sha256sum "$base"/xvda.qcow2 "$base"/xvdb.raw >"$WORK/bases"
    one_instant $g
}

# Which image a disk has, as everybody who keeps it has it.
known_everywhere() {
    local domid vdev id active
    domid=$(xl domid $g)
    eq "images" 3 "$(images_of $g | wc -l)"
    for vdev in xvda xvdb xvdc; do
        active=$(report ".disks[] | select(.vdev == \"$vdev\") | .active")
        has "$(images_of $g)" "^$active\$"
        case $vdev in xvda) id=51712 ;; xvdb) id=51728 ;; xvdc) id=51744 ;; esac
        has "$(run xenstore-read "/local/domain/0/backend/qdisk/$domid/$id/params")" \
            ":$active\$"
        has "$(run xenstore-read "/libxl/$domid/device/vbd/$id/params")" \
            ":$active\$"
        # And QEMU really has it open.
        has "$(ls -l "/proc/$(xenstore-read \
            "/local/domain/$domid/image/device-model-pid")/fd")" "$active\$"
    done
}

first_snapshot() {
    external
    known_everywhere
}

guarded() {
    local f store
    store=$(store_of $g)
    for f in "$STORE" "$store" "$store/records" "$store/memory"; do
        eq "mode of $f" 700 "$(stat -c %a "$f")"
    done
    f=$store/memory/e1.save
    eq "mode of the memory image" 600 "$(stat -c %a "$f")"
    eq "mode of the record" 600 "$(stat -c %a "$store/records/e1.json")"
    run jq '.memory' "$store/records/e1.json"
    eq "size in the record" "$(stat -c %s "$f")" \
        "$(jq -r '.memory.size' "$store/records/e1.json")"
    has "$(jq -r '.memory.checksum' "$store/records/e1.json")" '[0-9a-f]{32}'
}

not_restorable() {
    local save
    save=$(store_of $g)/memory/e1.save
    refused 1 'mandatory flag' xl restore "$save"
    # Nor under any other name or configuration.
    refused 1 'mandatory flag' xl restore "$(guest cfg $g)" "$save"
    ticks_go_on $g
}

detach() {
    run xl block-list $g
    eq "disks" 3 "$(xl block-list $g | grep -c '^5')"
    has "$(xl block-list $g)" '^51744 .* 4 '
    run xl block-detach $g xvdc
    eq "disks" 2 "$(xl block-list $g | grep -c '^5')"
    eq "images" 2 "$(images_of $g | wc -l)"
    one_instant $g
}

inside() { # reboot in the guest, seen by the daemon of before
    local pid sums images
    pid=$(monitor_of $g)
    sums=$(sums_of $g)
    images=$(images_of $g)
    reboot_inside $g
    one_instant $g
    eq "data" "$sums" "$(sums_of $g)"
    eq "images" "$images" "$(images_of $g)"
    [ -d "/proc/$pid" ] || fail "the daemon $pid of before is gone"
}

second() {
    local old
    old=$(images_of $g)
    ask $g fill 2 4 >/dev/null
    snapshot $g --type external -n e2
    [ "$(images_of $g)" != "$old" ] || fail "still on $old"
    eq "frozen now" "$old" "$(report '.disks[].frozen')"
    one_instant $g
}

xl_reboot() {
    local boot sums images
    boot=$(boot_of $g)
    sums=$(sums_of $g)
    images=$(images_of $g)
    run xl reboot $g
    boots_anew $g "$boot"
    one_instant $g
    eq "data" "$sums" "$(sums_of $g)"
    eq "images" "$images" "$(images_of $g)"
}

save_restore() {
    local boot images
    boot=$(boot_of $g)
    images=$(images_of $g)
    run xl save $g "$WORK/save"
    guest gone $g
    run xl restore "$WORK/save"
    rm -f "$WORK/save"
    guest ready $g
    one_instant $g "boot=$boot"
    eq "images" "$images" "$(images_of $g)"
    # control/feature-suspend is gone now, and yet it can be suspended.
    snapshot $g -n restored --type external
    one_instant $g "boot=$boot"
    monitor_of $g >/dev/null || fail "the daemon is gone"
}

# The user's old xl.cfg, as root: it must not be able to write to the bases.
old_cfg() {
    local status=0 cfg
    guest destroy $g
    cfg=$(guest cfg $g)
    has "$(grep target= "$cfg")" '/xvda.qcow2'
    timeout 60 xl create "$cfg" || status=$?
    echo "xl create: status $status"
    if [ $status -eq 0 ]; then
        # What it would do with the disks, it has done by now.
        nap 20
        guest destroy $g
    fi
    run sha256sum -c --quiet "$WORK/bases"
}

revert_after() {
    run xl snapshot-revert $g e2
    one_instant $g
    run xl snapshot-revert $g e1
    one_instant $g
    run sha256sum -c --quiet "$WORK/bases"
    monitor_of $g >/dev/null || fail "no daemon watches it"
    reboot_inside $g
    one_instant $g
    poweroff_inside $g
    images_clean $g
}

# --keep-path: the xl.cfg of before goes on to be right.
keep_path() {
    local g=keep sums before
    fresh $g pv --disk xvda:qcow2:256M --disk xvdb:qcow2:256M
    ask $g fill 3 4 >/dev/null
    before=$(images_of $g)
    snapshot $g --type external --keep-path -n k1
    eq "images" "$before" "$(images_of $g)"
    hasnt "$(report '.notes | join("\n")')" 'frozen now'
    ask $g fill 4 4 >/dev/null
    sums=$(sums_of $g)
    reboot_inside $g
    eq "data after a reboot" "$sums" "$(sums_of $g)"
    poweroff_inside $g
    run guest start $g
    one_instant $g
    eq "data after xl create of the old xl.cfg" "$sums" "$(sums_of $g)"
    run xl snapshot-revert $g k1
    one_instant $g
    eq "images" "$before" "$(images_of $g)"
    has "$(sums_of $g)" "a=$(field sum "$(ask $g expect 3 4)")"
    poweroff_inside $g
    images_clean $g
    wipe $g
}

# A domain that nobody watches, before and after: that is said.
no_daemon() {
    local g=lone
    wipe $g
    guest make $g --type pvh
    xl create -e "$(guest cfg $g)"
    guest ready $g
    ! monitor_of $g >/dev/null || fail "there is a daemon"
    snapshot $g -n n1
    has "$(report '.notes | join("\n")')" 'no xl daemon'
    one_instant $g
    wipe $g
}

t "guest with three disks starts" fresh $g pvh "${three[@]}"
passed || { verdict; exit; }
t "external snapshot: xl list -l, xenstore and QEMU name the new images" \
    first_snapshot
passed || { verdict; exit; }
t "store 0700, memory image 0600 with size and checksum in the record" guarded
t "the memory image is refused by a plain xl restore" not_restorable
t "the daemon of before acts on a reboot in the guest" inside
t "xl block-list and xl block-detach" detach
t "a second snapshot, of the new images" second
t "xl reboot" xl_reboot
t "xl save and xl restore, and a snapshot of what was restored" save_restore
t "xl create of the old xl.cfg cannot write to the frozen images" old_cfg
t "reverts to both afterwards; reboot and poweroff are acted on" revert_after
wipe $g
t "--keep-path: the old xl.cfg stays right" keep_path
t "a domain without a daemon: it is said" no_daemon
wipe keep lone
verdict
