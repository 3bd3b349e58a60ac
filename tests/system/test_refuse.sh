#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# limit: 2150
# takes: 250
#
# What is refused, is refused before the guest is touched: it runs on, and
# neither the store nor its folder holds anything new.  And the front that
# makes "xl snapshot-create" work leaves all other commands of xl alone.
#
# PCI passthrough, driver domains and stub domains cannot be had in this
# machine; tests/unit/test_refusals.c asks for those.

# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

g=refuse

# All that a snapshot could leave behind.
leftovers() { # NAME
    local store
    store=$(store_of "$1")
    find "$(guest dir "$1")" -printf '%p\n' | sort
    # The folder and the lock are there from the first command on.
    find "$store" -type f ! -name lock ! -name state.json 2>/dev/null | sort
    qemu-img snapshot -U -l "$(guest dir "$1")/xvda.qcow2"
    images_of "$1"
}

# remember NAME … no STATUS PATTERN COMMAND… … untouched NAME: whatever was
# refused in between left the guest, its images and the store as they were.
remember() { # NAME
    BEFORE=$(leftovers "$1")
    BOOT=$(boot_of "$1")
}

untouched() { # NAME
    ticks_go_on "$1"
    one_instant "$1" "boot=$BOOT"
    eq "files and images" "$BEFORE" "$(leftovers "$1")"
    monitor_of "$1" >/dev/null || fail "the daemon is gone"
}

no() { # STATUS PATTERN COMMAND...
    refused "$@"
    # One sentence, and perhaps where to read more.
    eq "lines on stderr" 1 "$(grep -cv "^xl snapshot-[a-z]*: see " <<<"$SAID")"
}

C=(xl snapshot-create)

names() {
    local long
    remember $g
    long=$(printf 'x%.0s' {1..65})
    for n in ../up a/b .. . -x '' 'a b' "$long" 'ümlaut'; do
        no 2 "name" "${C[@]}" --name="$n" $g
    done
    untouched $g
}

taken() {
    snapshot $g -D -n twice
    remember $g
    no 1 'twice already' "${C[@]}" -D -n twice $g
    untouched $g
}

targets() {
    local dir
    remember $g
    dir=$(guest dir $g)
    echo mine >"$dir/mine.qcow2"
    no 1 'mine\.qcow2.*exist' "${C[@]}" -n x1 \
        --disk "xvda,target=$dir/mine.qcow2" $g
    eq "the file" mine "$(cat "$dir/mine.qcow2")"
    no 1 'mine\.qcow2.*exist' "${C[@]}" -n x1 --memory "$dir/mine.qcow2" $g
    eq "the file" mine "$(cat "$dir/mine.qcow2")"
    rm -f "$dir/mine.qcow2"
    no 1 'nowhere' "${C[@]}" -n x1 --disk "xvda,target=/nowhere/x.qcow2" $g
    no '[12]' 'same|both|two|twice' "${C[@]}" -n x1 \
        --disk "xvda,target=$dir/t.qcow2" --disk "xvdb,target=$dir/t.qcow2" $g
    untouched $g
}

no_space() {
    remember $g
    mkdir -p /mnt/small
    mount -t tmpfs -o size=32m,mode=700 tmpfs /mnt/small
    no 1 'MB' "${C[@]}" -n x2 --store /mnt/small $g
    no 1 'MB' "${C[@]}" -n x2 --memory /mnt/small/x2.save $g
    [ -z "$(find /mnt/small -type f ! -name lock)" ] ||
        fail "left: $(find /mnt/small)"
    # Nor for what the guest writes after a snapshot inside.
    qemu-img create -q -f qcow2 /mnt/small/d.qcow2 1M
    printf '%s\n' 'name="small"' 'type="pvh"' 'kernel="/boot/none"' \
        'memory=64' 'disk=["format=qcow2,vdev=xvda,target=/mnt/small/d.qcow2"]' \
        >"$WORK/small.cfg"
    refused 1 'only .* free' xl snapshot-create -n x2 --type internal \
        --domain-config "$WORK/small.cfg" small
    eq "inside" "" "$(qemu-img snapshot -l /mnt/small/d.qcow2)"
    umount /mnt/small
    untouched $g
}

unknown() {
    remember $g
    no 1 'no domain named nobody' "${C[@]}" nobody
    no 1 'control domain' "${C[@]}" Domain-0
    no 2 'xvdz' "${C[@]}" --disk xvdz $g
    no 2 'live' "${C[@]}" --live --disk-only $g
    no 2 'raw|internal' "${C[@]}" --disk xvda,type=nonsense $g
    no 2 'frobnicate' "${C[@]}" --frobnicate $g
    no 1 'no-such' xl snapshot-revert $g no-such
    no 2 'output|no-metadata' "${C[@]}" --no-metadata $g
    untouched $g
}

raw_inside() {
    remember $g
    no 1 'xvdb.*(raw|internal)' "${C[@]}" -n x3 --type internal $g
    untouched $g
}

config_file() {
    remember $g
    cat >"$WORK/bad.cfg" <<'END'
name = "x4"
# a comment
dsks = [ ',,xvda' ]
END
    no 2 'bad.cfg:3.*dsks' "${C[@]}" $g "$WORK/bad.cfg"
    printf 'name = "x4"\n' >"$WORK/one.cfg"
    no 2 'name.*one.cfg' "${C[@]}" -n other $g "$WORK/one.cfg"
    untouched $g
}

dry_run() {
    local before out
    before=$(leftovers $g)
    out=$(run xl -N snapshot-create $g)
    echo "$out"
    has "$out" 'xvda +internal'
    has "$out" 'xvdb +external'
    xl snapshot-create --dry-run --json $g | jq -e '.dry_run'
    eq "files and images" "$before" "$(leftovers $g)"
    one_instant $g
}

paused() {
    local before
    before=$(leftovers $g)
    run xl pause $g
    refused 1 'paused' "${C[@]}" -n x5 $g
    is_paused $g
    eq "files and images" "$before" "$(leftovers $g)"
    # Of the disks alone it can be taken, and stays as it was.
    snapshot $g -D -n whilepaused
    is_paused $g
    run xl unpause $g
    one_instant $g
}

# A guest that has just been started cannot answer yet.
booting() {
    local b=early
    wipe $b
    guest make $b --type pv
    xl create "$(guest cfg $b)"
    refused 1 'cannot be suspended' "${C[@]}" -n x6 $b
    [ ! -e "$(store_of $b)/records/x6.json" ]
    guest ready $b
    one_instant $b
    snapshot $b -n later
    wipe $b
}

# Emulated and PV disks both there: an HVM guest before its drivers are up.
hvm_early() {
    local b=earlyhvm
    wipe $b
    truncate -s 4M "$WORK/cd.iso"
    qemu-img create -q -f raw "$WORK/ro.raw" 4M
    guest make $b --type hvm
    # Two disks more for the next test.
    sed -i "s|^disk = \[|&\n\"format=raw,vdev=xvde,access=ro,backendtype=qdisk,target=$WORK/ro.raw\",\n\"format=raw,vdev=hdc,access=ro,devtype=cdrom,backendtype=qdisk,target=$WORK/cd.iso\",|" \
        "$(guest cfg $b)"
    xl create "$(guest cfg $b)"
    refused 1 'xvd[ab]' "${C[@]}" -n x7 $b
    [ ! -e "$(store_of $b)/records/x7.json" ]
    guest ready $b
    one_instant $b
}

left_out() {
    local b=earlyhvm
    snapshot $b -n l1
    eq "taken" "xvda xvdb" "$(report '[.disks[].vdev] | sort | join(" ")')"
    eq "left out" "hdc xvde" "$(report '.left_out | sort | join(" ")')"
    has "$(report '.notes | join("\n")')" 'xvde: read-only'
    has "$(report '.notes | join("\n")')" 'hdc: CD-ROM'
    refused 2 'CD-ROM' "${C[@]}" --disk hdc $b
    refused 2 'read-only' "${C[@]}" --disk xvde $b
    one_instant $b
    wipe $b
}

phy() {
    local b=phydisk loop
    wipe $b
    truncate -s 256M "$WORK/phy.img"
    loop=$(losetup -f --show "$WORK/phy.img")
    guest make $b --type pvh --disk xvda:qcow2:256M --disk "xvdb:phy:=$loop"
    guest start $b
    remember $b
    no 1 'xvdb: no driver' "${C[@]}" -n p1 $b
    untouched $b
    snapshot $b -n p2 --no-disk xvdb
    eq "taken" xvda "$(report '.disks[].vdev')"
    eq "left out" xvdb "$(report '.left_out[]')"
    wipe $b
    losetup -d "$loop"
}

front_help() {
    local help
    help=$(xl help)
    has "$help" '^ snapshot-create  '
    has "$help" '^ snapshot-revert  '
    # The first column is where xl has it.
    eq "column" "$(grep -m 1 '^ list ' <<<"$help" | grep -o '^ list *' | wc -c)" \
        "$(grep '^ snapshot-create ' <<<"$help" | grep -o '^ snapshot-create *' | wc -c)"
    has "$(xl help snapshot-create)" 'keep-path'
    has "$(xl snapshot-create --help)" 'keep-path'
}

front_words() {
    local out
    has "$(xl snapshot-cr --help)" 'keep-path'
    has "$(xl -v snapshot-cr --help)" 'keep-path'
    refused '[12]' 'snapshot' xl snapshot-
    out=$(xl -N snapshot-create $g)
    has "$out" 'nothing is touched'
    has "$(xl-snapshot create --help)" 'keep-path'
}

# All else, byte by byte and with its status.
front_passes() {
    local real=/usr/lib/xl-snapshot/orig/xl args status
    run xl-snapshot-setup status
    for args in "list" "list -l" "info -n" "li" "nonsense" "list nobody" \
        "help list" "create /nowhere.cfg" "-v list" "vcpu-list $g" "uptime x"; do
        status=0
        # shellcheck disable=SC2086 # words
        xl $args >"$WORK/front.out" 2>"$WORK/front.err" || status=$?
        echo "$status" >>"$WORK/front.out"
        status=0
        # shellcheck disable=SC2086
        $real $args >"$WORK/real.out" 2>"$WORK/real.err" || status=$?
        echo "$status" >>"$WORK/real.out"
        # Processor time goes on, and who runs this moment changes.
        sed -E -i -e 's/ [r-][b-][p-][s-][c-][d-] +[0-9]+\.[0-9] *$//' \
            -e 's/"cpu_time".*//' \
            -e 's/ [0-9-]+ +[r-][b-][p-] +[0-9.]+ +all \/ all *$//' \
            "$WORK"/*.out
        cmp "$WORK/front.out" "$WORK/real.out" || fail "xl $args: output"
        cmp "$WORK/front.err" "$WORK/real.err" || fail "xl $args: errors"
    done
}

front_off() {
    local was
    was=$(readlink -f /usr/sbin/xl)
    run xl-snapshot-setup disable
    run ls -l /usr/sbin/xl
    eq "diversions" "" "$(dpkg-divert --list '*sbin/xl*')"
    hasnt "$(xl help)" snapshot
    eq "what Debian has" "$(dpkg -S /usr/sbin/xl | cut -d: -f1)" xen-utils-common
    run dpkg --verify xen-utils-common
    has "$(xl list)" "$g"
    has "$(xl-snapshot help)" create
    run xl-snapshot-setup enable
    eq "xl" "$was" "$(readlink -f /usr/sbin/xl)"
    has "$(xl help)" snapshot-create
}

t "guest starts" fresh $g pvh
passed || { verdict; exit; }
rare "names that are malformed" names
t "a raw disk internally" raw_inside
rare "a name that is taken" taken
rare "targets that exist or cannot be" targets
t "no space for the memory" no_space
rare "unknown domains, disks, options, snapshots; conflicts" unknown
rare "errors in the file, with its line" config_file
t "a dry run touches nothing" dry_run
t "a paused domain, but not its disks alone" paused
t "the front: xl help lists the commands as its own" front_help
t "the front: prefixes, global options, both names" front_words
t "the front: everything else is the real xl's" front_passes
t "the front: disabled, xl is Debian's again; enabled anew" front_off
wipe $g
t "a guest that is still booting" booting
t "an HVM guest with emulated and PV disks alive" hvm_early
passed && t "read-only disks and CD-ROMs are left out, and that is said" left_out
t "a phy disk, for which there is no driver" phy
wipe early earlyhvm phydisk
verdict
