# SPDX-License-Identifier: LGPL-2.1-only
# shellcheck shell=bash
#
# The matrix of operations and conditions of the RFC (domain snapshot
# introduction, section 3), every line of it, for one kind of disk snapshot:
#
#   create  memory live, memory not live, disk-only of a live domain, offline
#   revert  {domain live, off} x {with memory, without}
#   delete  {domain live, off} x {in a chain, not in a chain}
#   list    one domain, all, in detail
#
# One guest goes through all of it, in an order in which each revert also
# proves what a deletion before it left.  Snapshot sN holds what "fill N"
# wrote to both disks, s1 and s2 also N MB in memory.  The guest is configured
# unlike xl's defaults where that can be seen: on_crash, on_poweroff.
#
# test_matrix_internal.sh and test_matrix_external.sh call matrix_of().

# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

g=matrix
MB=2

# --- what the guest has -------------------------------------------------

holds() { # SEED ; memory and disks are of one instant, with that data
    one_instant $g
    eq "data on both disks" "$(expected_sums $g "$1" $MB)" "$(sums_of $g)"
}

records() { # what the store has, in the order it was taken
    xl snapshot-list --json $g | jq -r '[.snapshots[].name] | join(" ")'
}

whole() { # SNAPSHOT...
    local s
    for s; do
        run xl snapshot-info $g "$s" --check >/dev/null
    done
}

# Every image in the guest's folder is one that a record or the domain names.
no_orphans() {
    local f known bad=0
    known=$(jq -r '.disks[].frozen.id' "$(store_of $g)"/records/*.json \
        2>/dev/null
        jq -r '.disks[].active.id' "$(store_of $g)/state.json" |
            while read -r f; do echo "$f"; readlink -f "$f"; done)
    while read -r f; do
        grep -qxF "$f" <<<"$known" || { echo "orphan: $f"; bad=1; }
    done < <(find "$(guest dir $g)" -type f \
        \( -name '*.qcow2*' -o -name '*.raw' \) | sort)
    find "$(store_of $g)" -name journal -o -name '*.tmp-*' | grep . && bad=1
    return $bad
}

configuration() {
    xl list -l $g | jq -r '.[].config | "\(.on_reboot) \(.on_crash) " +
        "\(.on_poweroff) \(.c_info.type) \(.b_info.max_memkb) " +
        "\(.b_info.max_vcpus) \(.b_info.kernel) \(.b_info.cmdline)"'
}

# on_poweroff = "preserve": it stays, shut down, until it is destroyed.
poweroff_kept() {
    local end=$((SECONDS + 60))
    ask $g poweroff >/dev/null
    until has "$(state_of $g)" s >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || fail "no poweroff: $(xl list)"
        nap 0.2
    done
    nap 1
    has "$(state_of $g)" s
    guest destroy $g
}

# --- create -------------------------------------------------------------

new_guest() {
    wipe $g
    # With raw below it an external snapshot shows that it needs no qcow2.
    case $1 in
    internal) set -- --disk xvda:qcow2:256M --disk xvdb:qcow2:256M ;;
    *) set -- ;;
    esac
    run guest make $g --type pvh --mem 112 "$@"
    sed -i -e 's/^on_crash = .*/on_crash = "restart"/' \
        -e 's/^on_poweroff = .*/on_poweroff = "preserve"/' "$(guest cfg $g)"
    run guest start $g
    configuration | tee "$WORK/config"
    has "$(cat "$WORK/config")" ' restart preserve pvh '
}

create_live() { # KIND NUMBER CONSISTENCY MEMORY-MB OPTION...
    local kind=$1 n=$2 consistency=$3 mem=$4 boot
    shift 4
    boot=$(boot_of $g)
    echo "$boot" >"$WORK/boot$n"
    ask $g fill "$n" $MB >/dev/null
    [ "$mem" = 0 ] || ask $g mem fill "$mem" >/dev/null
    snapshot $g -n "s$n" --type "$kind" "$@"
    eq "consistency" "$consistency" "$(report .consistency)"
    eq "types" "$kind $kind" "$(report '[.disks[].type] | join(" ")')"
    holds "$n"
    eq "boot" "$boot" "$(boot_of $g)"
    ticks_go_on $g
}

create_memory_live() {
    create_live "$1" 1 memory 1 --live
    eq "live" true "$(report .memory.live)"
}

create_memory() {
    create_live "$1" 2 memory 2
    eq "live" false "$(report .memory.live)"
}

create_disks() {
    create_live "$1" 3 crash 0 --disk-only
}

# An xl.cfg that went stale is refused, with the line; once that is changed as
# said, it is taken.
xl_cfg_as_told() {
    local cfg vdev old new
    cfg=$(readlink -f "$(guest cfg $g)")
    refused 1 "line [0-9]+ of $cfg names .*, which a snapshot froze" \
        xl snapshot-create $g -n bad --domain-config "$cfg"
    for vdev in xvda xvdb; do
        old=$(sed -n "s/.*vdev=$vdev,.*target=\([^\"]*\)\".*/\1/p" "$cfg")
        new=$(jq -r ".disks[] | select(.vdev == \"$vdev\") | .active.id" \
            "$(store_of $g)/state.json")
        run sed -i "s|format=[a-z0-9]*,\(vdev=$vdev,.*target=\)$old|format=qcow2,\1$new|" \
            "$cfg"
    done
    grep target= "$cfg"
}

create_off() { # KIND
    local cfg note
    cfg=$(readlink -f "$(guest cfg $g)")
    ask $g fill 4 $MB >/dev/null
    poweroff_kept
    refused 1 'has no memory to save' \
        xl snapshot-create $g -n bad --memory /root/bad.save
    refused 1 'nothing to take live' xl snapshot-create $g -n bad --live
    [ "$1" = internal ] || xl_cfg_as_told
    snapshot $g -n s4 --type "$1" --domain-config "$cfg"
    eq "consistency" offline "$(report .consistency)"
    eq "memory" null "$(report .memory)"
    eq "types" "$1 $1" "$(report '[.disks[].type] | join(" ")')"
    ! xl domid $g >/dev/null 2>&1 || fail "it was started"
    note=$(report '.notes | join("\n")')
    case $1 in
    internal) hasnt "$note" 'xl.cfg|line' ;;
    external) has "$note" "line [0-9]+ of $cfg, change this disk"
        lsattr "$(report '.disks[0].frozen')" | cut -d' ' -f1 | grep i ;;
    esac
    eq "snapshots" "s1 s2 s3 s4" "$(records)"
    whole s4
    images_clean $g
}

# Once more, from what the store knows of it since s6.
create_off_again() { # KIND
    local keep=() before=()
    snapshot $g -n s6 --type "$1" --disk-only
    ask $g fill 5 $MB >/dev/null
    poweroff_kept
    # The images keep their paths, and no xl.cfg goes stale.
    [ "$1" = internal ] || keep=(--keep-path)
    mapfile -t before < <(jq -r '.disks[].active.id' "$(store_of $g)/state.json")
    snapshot $g -n s5 --type "$1" "${keep[@]}"
    eq "consistency" offline "$(report .consistency)"
    hasnt "$(report '.notes | join("\n")')" 'frozen now'
    eq "images" "${before[*]}" "$(report '[.disks[].active] | join(" ")')"
    eq "snapshots" "s6 s5" "$(records)"
    whole s6 s5
    images_clean $g
}

# --- list ---------------------------------------------------------------

list_one() {
    local out
    out=$(run xl snapshot-list $g)
    echo "$out"
    eq "snapshots" "s1 s2 s3 s4" \
        "$(awk 'NR > 2 { print $2 }' <<<"$out" | xargs)"
    eq "disk-only" "no no yes yes" \
        "$(awk 'NR > 2 { print $5 }' <<<"$out" | xargs)"
    eq "current" s4 "$(awk '$NF == "*" { print $2 }' <<<"$out")"
    has "$(grep ' s4 ' <<<"$out")" ' ---s- '
    has "$(grep ' s1 ' <<<"$out")" ' r---- '
}

list_all() {
    local out
    out=$(run xl snapshot-list)
    echo "$out"
    eq "lines" 4 "$(grep -cE "\b$g\b.* s[1-4] " <<<"$out")"
}

list_details() {
    local out
    out=$(xl snapshot-list --long --json $g)
    eq "consistency" "memory memory crash offline" \
        "$(jq -r '[.snapshots[].consistency] | join(" ")' <<<"$out")"
    eq "parents" "null s1 s2 s3" \
        "$(jq -r '[.snapshots[] | .parent // "null"] | join(" ")' <<<"$out")"
    eq "disks" "xvda xvdb" \
        "$(jq -r '[.snapshots[3].disks[].vdev] | join(" ")' <<<"$out")"
    out=$(run xl snapshot-list --long $g)
    has "$out" 'domain was +shut down'
    has "$out" 'memory in +/'
    has "$(run xl snapshot-info $g s4)" 'consistency +offline'
}

# --- revert -------------------------------------------------------------

to_memory() { # NUMBER ; it goes on where it was
    run xl snapshot-revert $g "s$1"
    one_instant $g "boot=$(cat "$WORK/boot$1")"
    holds "$1"
    eq "MB in memory" "$1" "$(field mb "$(ask $g mem check)")"
    ticks_go_on $g
    monitor_of $g >/dev/null || fail "nobody watches it"
    eq "current" "s$1" "$(jq -r .current "$(store_of $g)/state.json")"
}

to_disks() { # NUMBER ; it boots, with the configuration it had
    local boot=none
    if xl domid $g >/dev/null 2>&1; then boot=$(boot_of $g); fi
    run xl snapshot-revert $g "s$1"
    boots_anew $g "$boot"
    BOOT=$(boot_of $g)
    holds "$1"
    eq "configuration" "$(cat "$WORK/config")" "$(configuration)"
    eq "current" "s$1" "$(jq -r .current "$(store_of $g)/state.json")"
}

another_way() { # something else is on the disks and in memory by now
    ask $g fill 9 $MB >/dev/null
    ask $g damage >/dev/null
}

memory_off() { # 2
    ! xl domid $g >/dev/null 2>&1 || fail "it runs"
    to_memory "$1"
}

memory_live() { # 1
    another_way
    to_memory "$1"
}

disks_live() { # 3 KIND
    another_way
    to_disks "$1"
    [ "$2" = internal ] || return 0
    reboot_inside $g
    holds "$1"
}

disks_off() { # 4 KIND
    ! xl domid $g >/dev/null 2>&1 || fail "it runs"
    to_disks "$1"
    [ "$2" = external ] || return 0
    ask $g crash >/dev/null
    boots_anew $g "$BOOT"
    holds "$1"
}

# --- delete -------------------------------------------------------------

delete_live() { # SNAPSHOT LEFT... ; the guest notices nothing
    local boot sums
    boot=$(boot_of $g)
    sums=$(sums_of $g)
    run xl snapshot-delete $g "$1"
    one_instant $g "boot=$boot"
    eq "data on both disks" "$sums" "$(sums_of $g)"
    ticks_go_on $g
    shift
    eq "snapshots" "$*" "$(records)"
    whole "$@"
    no_orphans
}

delete_off() { # SNAPSHOT LEFT... ; the disks read the same
    local vdev path format
    ! xl domid $g >/dev/null 2>&1 || fail "it runs"
    # Through the active images, before and after.
    while read -r vdev path format; do
        qemu-img convert -f "$format" -O qcow2 "$path" "$WORK/$vdev.before"
    done < <(jq -r '.disks[] | "\(.vdev) \(.active.id) \(.active.format)"' \
        "$(store_of $g)/state.json")
    run xl snapshot-delete $g "$1"
    while read -r vdev path format; do
        run qemu-img compare -f qcow2 -F "$format" "$WORK/$vdev.before" "$path"
        rm "$WORK/$vdev.before"
    done < <(jq -r '.disks[] | "\(.vdev) \(.active.id) \(.active.format)"' \
        "$(store_of $g)/state.json")
    shift
    eq "snapshots" "$*" "$(records)"
    whole "$@"
    no_orphans
    images_clean $g
}

off_in_chain() {
    poweroff_kept
    delete_off "$@"
}

live_alone() { # what is left but one goes first
    delete_live s1 s4
    delete_live s4
}

# ------------------------------------------------------------------------

off_alone() {
    delete_off s6 s5
    delete_off s5
}

# After a revert without memory the guest does what on_reboot, on_crash and
# on_poweroff say, which is the same whatever the disks are: each is shown once.
matrix_of() { # internal|external
    local k=$1 reboot="" crash=""
    [ "$k" = internal ] && reboot="; reboot as configured"
    [ "$k" = external ] && crash="; crash as configured"
    t "$k: guest starts" -s 400 new_guest "$k"
    passed || return
    t "create: $k, domain live, memory live" create_memory_live "$k"
    t "create: $k, domain live, memory not live" create_memory "$k"
    t "create: $k, domain live, disk-only" create_disks "$k"
    t "create: $k, domain off, from its xl.cfg" create_off "$k"
    passed || return
    t "list: $k, one domain" list_one
    t "list: $k, all" list_all
    t "list: $k, in detail" list_details
    t "revert: $k, domain off, with memory" memory_off 2
    t "delete: $k, domain live, in a chain" delete_live s2 s1 s3 s4
    t "revert: $k, domain live, with memory" memory_live 1
    t "revert: $k, domain live, without memory$reboot" disks_live 3 "$k"
    t "delete: $k, domain off, in a chain" off_in_chain s3 s1 s4
    t "revert: $k, domain off, without memory$crash" disks_off 4 "$k"
    passed || return
    t "delete: $k, domain live, not in a chain" live_alone
    t "create: $k, domain off, from what the store knows; poweroff as configured" \
        create_off_again "$k"
    t "delete: $k, domain off, not in a chain" off_alone
    wipe $g
}
