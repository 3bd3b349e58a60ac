# SPDX-License-Identifier: LGPL-2.1-only
# shellcheck shell=bash
#
# Create, change everything, revert: memory and both disks must be back at one
# instant, for each type of guest and each kind of snapshot.
#
# The guest starts with a qcow2 and a raw disk, so that "mixed" is what comes
# without options; the raw disk has a qcow2 overlay from then on, and the next
# snapshot can be internal on both.
#
# test_pv.sh, test_pvh.sh and test_hvm.sh call all_of().

# shellcheck source=tests/system/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# What the guest looks like before; check() demands it again after a revert.
remember() { # NAME
    BOOT=$(boot_of "$1") || return 1
    SUMS=$(sums_of "$1") || return 1
    TICK=$(tick_of "$1") || return 1
    hasnt "$SUMS" 'missing|damaged|none'
}

# Other data on both disks, then junk over it; another pattern in memory.
ruin() { # NAME
    local was
    was=$(sums_of "$1")
    ask "$1" mem fill 2 >/dev/null
    ask "$1" fill 99 3 >/dev/null
    ask "$1" damage >/dev/null
    [ "$(sums_of "$1")" != "$was" ] || fail "the guest did not change"
}

# All that was remembered is there: the disks' data, the memory's pattern,
# the boot; and memory and disks are of one instant.
back() { # NAME MB-IN-MEMORY
    local m s
    one_instant "$1" "boot=$BOOT" || return 1
    s=$(tick_of "$1") || return 1
    [ "$s" -ge "$TICK" ] || fail "tick $s is before $TICK, when it was taken"
    eq "data on both disks" "$SUMS" "$(sums_of "$1")" || return 1
    m=$(ask "$1" mem check) || fail "memory: $m" || return 1
    eq "MB in memory" "$2" "$(field mb "$m")"
}

# The whole story of one snapshot.
story() { # NAME SNAPSHOT EXPECTED-TYPES SEED OPTION...
    local g=$1 snap=$2 types=$3 seed=$4 now
    shift 4
    ask "$g" mem fill 6 >/dev/null
    ask "$g" fill "$seed" 4 >/dev/null
    remember "$g"
    snapshot "$g" -n "$snap" "$@"
    eq "types" "$types" "$(report '[.disks[] | .type] | join(" ")')"
    eq "domain runs on" "false" "$(report .paused)"
    one_instant "$g" "boot=$BOOT"
    ruin "$g"
    now=$(tick_of "$g")
    run xl snapshot-revert "$g" "$snap"
    back "$g" 6
    echo "ticks: $TICK when taken, $now when reverted, $(tick_of "$g") now"
}

# After a revert the guest reboots itself: somebody acts on it, and the data
# of the snapshot is what it finds.
survives_reboot() { # NAME
    local sums
    sums=$(sums_of "$1")
    reboot_inside "$1"
    one_instant "$1"
    eq "data on both disks" "$sums" "$(sums_of "$1")"
}

again() { # NAME SNAPSHOT SEED
    ruin "$1"
    run xl snapshot-revert "$1" "$2"
    one_instant "$1"
    eq "data on both disks" "$(expected_sums "$1" "$3" 4)" "$(sums_of "$1")"
}

from_nothing() { # NAME SNAPSHOT SEED
    local m
    guest destroy "$1"
    run xl snapshot-revert "$1" "$2"
    one_instant "$1"
    eq "data on both disks" "$(expected_sums "$1" "$3" 4)" "$(sums_of "$1")"
    m=$(ask "$1" mem check)
    eq "MB in memory" 6 "$(field mb "$m")"
    monitor_of "$1" >/dev/null || fail "no xl daemon watches $1"
}

live() { # NAME
    story "$1" live1 "internal internal" 21 --live --type internal
    eq "live" "true" "$(report .memory.live)"
    echo "the guest stood still $(report .window_ms) ms"
}

live_refused() { # NAME
    refused 1 'cannot be saved live' xl snapshot-create --live -n l1 "$1"
    eq "sentences" 1 "$(wc -l <<<"$SAID")"
    ticks_go_on "$1"
    one_instant "$1"
    [ ! -e "$(store_of "$1")/records/l1.json" ] || fail "there is a record"
    monitor_of "$1" >/dev/null || fail "the daemon is gone"
}

disk_only() { # NAME
    local g=$1 boot
    ask "$g" fill 31 4 >/dev/null
    SUMS=$(sums_of "$g")
    ask "$g" load start >/dev/null
    nap 2
    snapshot "$g" -D -n disks1
    eq "consistency" crash "$(report .consistency)"
    eq "memory" null "$(report .memory)"
    nap 2
    ask "$g" load verify >/dev/null
    ask "$g" load stop >/dev/null
    ruin "$g"
    boot=$(boot_of "$g")
    run xl snapshot-revert "$g" disks1
    boots_anew "$g" "$boot"
    one_instant "$g"
    eq "data on both disks" "$SUMS" "$(sums_of "$g")"
    # All writes up to one instant and none after it, across both disks.
    ask "$g" load scan >/dev/null
}

paused() { # NAME
    local g=$1
    ask "$g" fill 41 4 >/dev/null
    remember "$g"
    snapshot "$g" --paused -n paused1
    is_paused "$g"
    eq "report" true "$(report .paused)"
    run xl unpause "$g"
    one_instant "$g" "boot=$BOOT"
    ruin "$g"
    run xl snapshot-revert --paused "$g" paused1
    is_paused "$g"
    run xl unpause "$g"
    one_instant "$g" "boot=$BOOT"
    eq "data on both disks" "$SUMS" "$(sums_of "$g")"
}

# Nothing in the store: the file that --output writes is all there is.
file_alone() { # NAME
    local g=$1 dir
    dir=$(guest dir "$1")
    ask "$g" fill 51 4 >/dev/null
    ask "$g" mem fill 6 >/dev/null
    remember "$g"
    snapshot "$g" -n alone --no-metadata --output "$dir/alone.cfg" \
        --memory "$dir/alone.save"
    [ -s "$dir/alone.cfg" ] && [ -s "$dir/alone.save" ]
    [ ! -e "$(store_of "$g")/records/alone.json" ] || fail "it is in the store"
    ruin "$g"
    rm -rf "$(store_of "$g")"
    guest destroy "$g"
    run xl snapshot-revert --config "$dir/alone.cfg" "$g"
    back "$g" 6
}

ends_well() { # NAME
    monitor_of "$1" >/dev/null || fail "no xl daemon watches $1"
    poweroff_inside "$1"
    images_clean "$1"
    ls -la "$(guest dir "$1")"
}

all_of() { # TYPE
    local type=$1 g=cr-$1
    t "$type: guest starts" -s 700 fresh "$g" "$type"
    passed || return
    t "$type: mixed: create, ruin, revert: one instant" \
        story "$g" mixed1 "internal external" 11
    # An HVM guest takes minutes to boot: it does so once more, at the end.
    passed && [ "$type" != hvm ] &&
        t "$type: mixed: reboot afterwards" survives_reboot "$g"
    rare "$type: internal: create, ruin, revert: one instant" \
        story "$g" int1 "internal internal" 12 --type internal
    passed && [ "$type" != hvm ] &&
        rare "$type: internal: reboot afterwards" survives_reboot "$g"
    if [ "$type" = pv ]; then
        t "$type: --live is refused in one sentence, guest untouched" \
            live_refused "$g"
    else
        t "$type: --live: create, ruin, revert: one instant" live "$g"
    fi
    t "$type: external: create, ruin, revert: one instant" \
        story "$g" ext1 "external external" 13 --type external
    if passed && [ "$type" = hvm ]; then
        t "$type: external: reboot afterwards" survives_reboot "$g"
    elif passed; then
        rare "$type: external: reboot afterwards" survives_reboot "$g"
    fi
    t "$type: reverted a second time" again "$g" ext1 13
    t "$type: reverted when the domain is gone" from_nothing "$g" ext1 13
    # What does not depend on the kind of guest is asked of one.
    [ "$type" != pvh ] ||
        t "$type: disk-only under load: crash consistent after revert" \
            disk_only "$g"
    [ "$type" = hvm ] ||
        t "$type: --paused on create and on revert" paused "$g"
    [ "$type" != pvh ] ||
        t "$type: --no-metadata --output, revert --config alone" \
            file_alone "$g"
    t "$type: poweroff is acted on, all images clean" ends_well "$g"
    wipe "$g"
}
