# SPDX-License-Identifier: LGPL-2.1-only
# shellcheck shell=bash
#
# What the tests of clones share; "gold" is the guest whose snapshot s1 they
# are made from.

# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

g=gold
ELSEWHERE=/root/guest/elsewhere
mkdir -p $ELSEWHERE

data_is() { # NAME SEED
    eq "data of $1" "$(expected_sums "$1" "$2" 2)" "$(sums_of "$1")"
}

# The folder of a clone in the store.
folder_of() { # NAME
    local f
    for f in "$STORE"/*/state.json; do
        if [ "$(jq -r .domain "$f")" = "$1" ]; then
            dirname "$f"
            return 0
        fi
    done
    fail "the store knows no $1"
}

clone() { # NAME-OF-CLONE OPTION...
    local c=$1
    shift
    echo "\$ xl snapshot-clone $g s1 $c $*"
    xl snapshot-clone $g s1 "$c" "$@" || return 1
    [ "$(xl domid "$c")" != "$(xl domid $g 2>/dev/null)" ]
}

# What is asked of the guest after each step.
undisturbed() { # BOOT SEED
    one_instant $g "boot=$1"
    ticks_go_on $g
    data_is $g "$2"
}

# The emulation has one processor: who is not asked stands still meanwhile.
rest() { # NAME...
    local c
    for c; do xl pause "$c"; done
}

wake() { # NAME...
    local c
    for c; do xl unpause "$c"; done
}

take() { # TYPE ; leaves the boot of the guest and a tick before in $WORK
    ask $g fill 1 2 >/dev/null
    boot_of $g >"$WORK/boot"
    tick_of $g >"$WORK/before"
    snapshot $g -n s1 --type "$1"
    tick_of $g >"$WORK/after"
    ask $g fill 9 2 >/dev/null
}

from_memory() { # NAME
    local tick
    clone "$1" --paused
    is_paused "$1"
    undisturbed "$(cat "$WORK/boot")" 9
    run xl unpause "$1"
    one_instant "$1" "boot=$(cat "$WORK/boot")"
    tick=$(tick_of "$1")
    # It has just begun to count, from the snapshot's tick.
    [ "$tick" -ge "$(cat "$WORK/before")" ]
    [ "$tick" -lt $(($(cat "$WORK/after") + 600)) ]
    data_is "$1" 1
    ticks_go_on "$1"
    rest "$1"
}

from_disks() { # NAME OPTION...
    local c=$1
    shift
    clone "$c" --disk-only "$@"
    guest ready "$c" $((BOOT_LIMIT * 5 / 3))
    hasnt "$(boot_of "$c")" "$(cat "$WORK/boot")"
    one_instant "$c"
    data_is "$c" 1
    undisturbed "$(cat "$WORK/boot")" 9
    rest "$c"
}

# First all write, then all are looked at.
own_data() { # NAME=SEED...
    local p
    for p; do
        wake "${p%=*}"
        ask "${p%=*}" fill "${p#*=}" 2 >/dev/null
        rest "${p%=*}"
    done
    for p; do
        wake "${p%=*}"
        data_is "${p%=*}" "${p#*=}"
        one_instant "${p%=*}"
        ticks_go_on "${p%=*}"
        rest "${p%=*}"
    done
}

all_differ() { # NAME...
    local c
    eq "different UUIDs" "$#" "$(for c; do xl list -l "$c" |
        jq -r '.[].config.c_info.uuid'; done | sort -u | wc -l)"
    eq "different images" $(($# * 2)) "$(for c; do images_of "$c"; done |
        sort -u | wc -l)"
}

not_deleted() { # CLONE...
    local c
    for c; do
        refused 1 "$c" xl snapshot-delete $g s1
        has "$(xl snapshot-info $g s1)" "^clones .*$c"
    done
}

lives_on() { # NAME ; a clone is a domain like any other
    wake "$1"
    reboot_inside "$1"
    one_instant "$1"
    ask "$1" fill 21 2 >/dev/null
    snapshot "$1" -n own
    ask "$1" fill 22 2 >/dev/null
    run xl snapshot-revert "$1" own
    one_instant "$1"
    data_is "$1" 21
    run xl snapshot-delete "$1" own
    one_instant "$1"
    data_is "$1" 21
    has "$(xl snapshot-info $g s1)" "^clones .*$1"
    rest "$1"
}

all_off() { # NAME...
    local c f
    for c; do
        wake "$c"
        poweroff_inside "$c"
    done
    images_clean $g
    for f in "$ELSEWHERE"/*.qcow2; do
        [ ! -e "$f" ] || run qemu-img check "$f"
    done
}

bury() { # NAME... ; as an administrator does it
    local c
    for c; do
        guest destroy "$c" >/dev/null 2>&1 || true
        find "$(guest dir $g)" $ELSEWHERE -name "$c-*" -delete
    done
}

empty_folder() {
    refused 1 'is empty' xl snapshot-delete $g s1
    touch $ELSEWHERE/other
}

delete_works() {
    eq "clones" "" "$(xl snapshot-info $g s1 | grep '^clones ' || true)"
    run xl snapshot-delete $g s1
    eq "no images are left over" "" "$(find "$(guest dir $g)" -name '*-xvd*')"
}

# With the images that the store says, as the command's note has it.
starts_again() {
    local vdev path format
    while read -r vdev path format; do
        sed -i -E "s|format=[a-z0-9]+,vdev=$vdev,([^'\"]*)target=[^'\"]*|format=$format,vdev=$vdev,\1target=$path|" \
            "$(guest dir $g)/$g.cfg"
    done < <(jq -r '.disks[] | [.vdev, .active.id, .active.format] | join(" ")' \
        "$(store_of $g)/state.json")
    run cat "$(guest cfg $g)"
    run guest start $g
    one_instant $g
    data_is $g 9
}
