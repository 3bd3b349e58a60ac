#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# limit: 1500
# takes: 170
#
# Clones of a PV and of an HVM guest, from memory and from disks; test_clone.sh
# has all else.

# shellcheck source=tests/system/clone.sh
. "$(dirname "$0")/clone.sh"

types=(pv)
if everything; then
    types+=(hvm)
else
    echo "# only in check-all: hvm: its clones"
fi
for type in "${types[@]}"; do
    [ "$type" = pv ] || BOOT_LIMIT=300
    t "$type: guest starts" -s 700 fresh $g "$type" --mem 112
    passed || continue
    t "$type: a snapshot with memory, mixed" take external
    passed || continue
    t "$type: a clone from memory" -s 300 from_memory m1
    clones=(m1) writes=(m1=11)
    rare "$type: a clone from the disks, elsewhere" -s 700 \
        from_disks d1 --dir $ELSEWHERE
    ! everything || clones+=(d1) writes+=(d1=13)
    t "$type: nobody has what another has" all_differ $g "${clones[@]}"
    t "$type: each writes" -s 400 own_data "${writes[@]}"
    t "$type: the guest noticed nothing" undisturbed "$(cat "$WORK/boot")" 9
    t "$type: the snapshot is not deleted" not_deleted "${clones[@]}"
    t "$type: all off: every image is clean" -s 400 all_off "${clones[@]}" $g
    bury "${clones[@]}"
    touch $ELSEWHERE/other # an empty folder would be no proof
    t "$type: without them it is" delete_works
    wipe $g
done
verdict
