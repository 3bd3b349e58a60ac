#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# limit: 2700
# takes: 400
#
# Many snapshots of one guest: ten in a row and back to the third; others under
# a writer that finds every write that was lost or torn.
#
#   test_many.sh [INSIDE [LOAD]]   so many snapshots inside the images in a row,
#                                  and so many, a multiple of 4, under the load

# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

inside=${1:-5}
load=${2:-8}
! everything || load=20

# With memory, each leaving new images behind.
in_a_row() { # NAME TYPE COUNT THIRD NEWER
    local i
    for ((i = 1; i <= $3; i++)); do
        ask "$1" fill "$i" 2 >/dev/null
        # Only those that are reverted to need the memory: it fills the disk.
        case $i in
        "$4"|"$5") ask "$1" mem fill "$i" >/dev/null
             snapshot "$1" -n "$2$i" --type "$2" ;;
        *)   snapshot "$1" -n "$2$i" --type "$2" -D ;;
        esac
    done
    one_instant "$1"
}

to_the() { # NAME TYPE NUMBER
    run xl snapshot-revert "$1" "$2$3"
    one_instant "$1"
    eq "data of snapshot $3" "$(expected_sums "$1" "$3" 2)" "$(sums_of "$1")"
    eq "MB in memory" "$3" "$(field mb "$(ask "$1" mem check)")"
}

in_between() { # NAME TYPE NUMBER ; disk-only
    local boot
    boot=$(boot_of "$1")
    run xl snapshot-revert "$1" "$2$3"
    boots_anew "$1" "$boot"
    one_instant "$1"
    eq "data of snapshot $3" "$(expected_sums "$1" "$3" 2)" "$(sums_of "$1")"
}

ends_well() { # NAME
    poweroff_inside "$1"
    images_clean "$1"
}

# verify says "bad", and so fails, if any write that the guest was told is on
# disk is not there.
under_load() { # NAME
    local i worst=0 w
    ask "$1" load start >/dev/null
    for ((i = 1; i <= load; i++)); do
        nap 0.5
        case $((i % 4)) in
        0) snapshot "$1" -n "l$i" --type external ;;
        1) snapshot "$1" -n "l$i" -D --type external ;;
        2) snapshot "$1" -n "l$i" -D --type internal ;;
        3) snapshot "$1" -n "l$i" -D --type internal \
               --no-metadata --output "$WORK/l$i.cfg" ;;
        esac
        w=$(report '.window_ms | floor')
        [ "$w" -le "$worst" ] || worst=$w
        if [ $((i % (load / 2))) -eq 0 ]; then
            GUEST_TIMEOUT=150 ask "$1" load verify >/dev/null
        fi
    done
    echo "longest standstill: $worst ms"
    one_instant "$1"
}

revert_under_load() { # NAME
    local i
    for i in "$load" 4; do
        run xl snapshot-revert "$1" "l$i"
        one_instant "$1"
        nap 1
        GUEST_TIMEOUT=150 ask "$1" load verify >/dev/null
    done
    ask "$1" load stop >/dev/null
    GUEST_TIMEOUT=150 ask "$1" load scan >/dev/null
}

crash_consistent() { # NAME
    local boot
    boot=$(boot_of "$1")
    run xl snapshot-revert "$1" "l$((load - 2))"
    boots_anew "$1" "$boot"
    one_instant "$1"
    GUEST_TIMEOUT=150 ask "$1" load scan >/dev/null
}

g=many
t "guest starts" fresh $g pvh
passed || { verdict; exit; }
t "ten external snapshots in a row" -s 1200 in_a_row $g external 10 3 7
if passed; then
    t "back to the third, with memory" to_the $g external 3
    t "then to a newer one, the seventh" to_the $g external 7
    t "and to one of the disks alone" in_between $g external 5
    t "poweroff, all images clean" ends_well $g
fi
wipe $g

t "guest with two qcow2 disks starts" fresh $g pv \
    --disk xvda:qcow2:256M --disk xvdb:qcow2:256M
passed || { verdict; exit; }
t "$inside internal snapshots in a row" -s 1200 in_a_row $g internal "$inside" 3 $((inside - 1))
if passed; then
    t "back to the third, with memory (internal)" to_the $g internal 3
    t "then to a newer one (internal)" to_the $g internal $((inside - 1))
    t "poweroff, all images clean (internal)" ends_well $g
fi
wipe $g

t "guest for the load starts" fresh $g pvh
passed || { verdict; exit; }
t "$load snapshots under load: no write lost or torn" -s 1200 under_load $g
if passed; then
    t "reverts under load: no write lost or torn" -s 900 revert_under_load $g
    t "disk-only under load: one instant across both disks" \
        crash_consistent $g
    t "poweroff, all images clean (load)" ends_well $g
fi
wipe $g
verdict
