#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# limit: 2400
# takes: 390
#
# Clones of a PVH guest, from memory and from disks, running beside the guest
# itself: each has the snapshot's data, none sees what another writes, the
# guest notices nothing, and the snapshot stays as long as somebody stands on
# it.

# shellcheck source=tests/system/clone.sh
. "$(dirname "$0")/clone.sh"

# --- over frozen images, the guest running ----------------------------------

t "guest starts" fresh $g pvh --mem 112
passed || { verdict; exit; }
t "a snapshot with memory, mixed" take external
passed || { verdict; exit; }
t "a clone from memory" -s 300 from_memory m1
t "another" -s 300 from_memory m2
t "a clone from the disks, elsewhere" -s 400 from_disks d1 --dir $ELSEWHERE
t "nobody has what another has" all_differ $g m1 m2 d1
t "each writes" -s 400 own_data m1=11 m2=12 d1=13
t "the guest noticed nothing" undisturbed "$(cat "$WORK/boot")" 9
t "the snapshot is not deleted" not_deleted m1 m2 d1
t "a clone from memory lives on" lives_on m1
t "the other one has its data" own_data m2=12
t "all off: every image is clean" -s 400 all_off m1 m2 d1 $g
t "nor with the clones off" not_deleted m1 m2 d1
bury m1 m2
t "nor with one left" not_deleted d1
bury d1
t "an empty folder is no proof: so a mount point looks" empty_folder
t "without them it is" delete_works
t "and the guest has its data" starts_again
wipe $g

# --- from inside images, the guest running and off ----------------------------

t "guest with two qcow2 disks starts" fresh $g pvh --mem 112 \
    --disk xvda:qcow2:256M --disk xvdb:qcow2:256M
passed || { verdict; exit; }
t "a snapshot with memory inside the images" take internal
t "a clone from memory, of a guest that runs" -s 300 from_memory i1
t "a clone from the disks" -s 400 from_disks i2
t "each writes" -s 400 own_data i1=11 i2=12
t "the guest noticed nothing" undisturbed "$(cat "$WORK/boot")" 9
t "the snapshot is free to go: the clones have copies" \
    run xl snapshot-delete $g s1
t "the clones do not miss it" -s 400 own_data i1=15 i2=16
t "all off: every image is clean" -s 400 all_off i1 i2 $g
bury i1 i2
rm -rf "${STORE:?}"/*
wipe $g
verdict
