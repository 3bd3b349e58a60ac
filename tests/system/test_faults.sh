#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# limit: 2350
# takes: 320
#
# What a snapshot stands on gives way: no space in the store or beside the
# images, a target that vanishes, a QEMU that is killed or stops answering, a
# command that is told to stop.  The guest goes on, nothing is lost, the
# message says what was wrong, and recover leaves nothing behind.
#
#   test_faults.sh                      one of a kind, and two signals
#   test_faults.sh SIGNALS [SEED]       all; how many signals at random moments

# The tests are called by name:
# shellcheck disable=SC2317
# shellcheck source=tests/system/crash.sh
. "$(dirname "$0")/crash.sh"

all=${1:+yes}
signals=${1:-2}
seed=${2:-77}
N=10 # the seed of the data, and the number in the names

# The store has a file system of its own, which can be filled up.
store_apart() {
    truncate -s 2G "$WORK/store.img"
    mkfs.ext4 -q -F -m 0 "$WORK/store.img"
    mkdir -p "$STORE"
    mount -o loop "$WORK/store.img" "$STORE"
    chmod 700 "$STORE"
    new_guest
}

# To its last block, or what was that when it began: what others give back
# meanwhile is not filled up with thousands of small files.
fill_up() { # DIR
    local size i=0 n
    for size in 512M 64M 8M 1M 64K 4K; do
        for ((n = 0; n < 17; n++, i++)); do
            fallocate -l $size "$1/full.$i" 2>/dev/null || break
        done
        rm -f "$1/full.$i"
    done
}

# hit_at STEP HOW COMMAND... : run it; as soon as the journal has this step, HOW
# is called.  Nothing is started in between, for that takes its time here.
# Sets STATUS and SAID.
hit_at() {
    local step=$1 how=$2 file pid lines=()
    local end=$((SECONDS + 120))
    shift 2
    file=$(store_of $g)/journal
    QEMU=$(xenstore-read "/local/domain/$(xl domid $g)/image/device-model-pid")
    echo "\$ $*"
    "$@" >"$WORK/said" 2>&1 &
    pid=$!
    until [[ "${lines[*]}" == *"\"step\":\"$step"* ]]; do
        if [ $SECONDS -ge $end ] || ! kill -0 $pid 2>/dev/null; then
            cat "$WORK/said"
            fail "it ended before its step '$step'"
            return 1
        fi
        [ ! -e "$file" ] || mapfile -t lines <"$file" || true
    done 2>/dev/null
    $how
    STATUS=0
    wait $pid || STATUS=$?
    SAID=$(cat "$WORK/said")
    echo "status $STATUS: $SAID"
}

next_number() {
    N=$(($(cat "$WORK/n" 2>/dev/null || echo 10) + 1))
    echo $N >"$WORK/n"
    ask $g fill $N $MB >/dev/null
}

# Nothing happened to the guest, and there is no snapshot.
untouched() { # SNAPSHOT
    ticks_go_on $g
    one_instant $g
    data_is $N
    monitor_of $g >/dev/null || fail "no xl daemon watches $g"
    [ ! -e "$(store_of $g)/records/$1.json" ] || fail "there is a record $1"
    eq "the journal" "no journal" "$(journal)"
    no_orphans
}

# It was taken, or it was not; either is whole.
whole() { # SNAPSHOT
    ticks_go_on $g
    recovered
    one_instant $g
    data_is $N
    monitor_of $g >/dev/null || fail "no xl daemon watches $g"
    no_orphans
    if [ -e "$(store_of $g)/records/$1.json" ]; then
        run xl snapshot-info --check $g "$1"
    fi
}

# --- no space -----------------------------------------------------------

no_space_for_overlay() {
    next_number
    mkdir -p /mnt/small
    mount -t tmpfs -o size=1m,mode=700 tmpfs /mnt/small
    head -c 1M /dev/zero >/mnt/small/full 2>/dev/null || true
    refused 1 'only .* free' xl snapshot-create -n "o-$N" -D --type external \
        --disk "xvda,target=/mnt/small/a.qcow2" $g
    untouched "o-$N"
    eq "left there" full "$(ls /mnt/small)"
    umount /mnt/small
}

fill_store() { fill_up $STORE; }

# Somebody else fills it up while the memory is being saved.  The memory's
# space was set aside: it is the record that may not fit.
no_space_in_store() {
    next_number
    hit_at window fill_store xl snapshot-create -n "m-$N" --type external $g
    case $STATUS in
    0)  ;;
    3)  has "$SAID" 'space' ;;
    *)  fail "status $STATUS" ;;
    esac
    ticks_go_on $g
    one_instant $g
    data_is $N
    # With nothing changed it can do nothing, and says so.
    [ "$STATUS" -eq 0 ] || refused 3 'space' xl snapshot-recover $g
    rm -f $STORE/full.*
    whole "m-$N"
    eq "consistency" memory "$(record .consistency "m-$N")"
}

# And before it has begun.
no_store_at_all() {
    next_number
    fill_up $STORE
    refused 1 'space|MB' xl snapshot-create -n "n-$N" $g
    refused 1 'space' xl snapshot-create -n "n-$N" -D --type external $g
    refused 1 'space' xl snapshot-delete $g "$(newest)"
    rm -f $STORE/full.*
    untouched "n-$N"
}

# The file system of the images: a loop device that is full.
no_space_beside_images() {
    local f=full
    # Made free again, it is enough.
    truncate -s 192M "$WORK/img"
    mkfs.ext4 -q -F "$WORK/img"
    mkdir -p /mnt/images
    mount -o loop "$WORK/img" /mnt/images
    qemu-img create -q -f qcow2 /mnt/images/b.qcow2 192M
    wipe $f
    guest make $f --type pv --disk xvda:qcow2:64M \
        --disk xvdb:qcow2:=/mnt/images/b.qcow2
    guest start $f
    ask $f fill 3 1 >/dev/null || true
    one_instant $f
    sync
    fill_up /mnt/images
    # Nothing fits: refused, or QEMU's own words; undone, the guest goes on.
    refused 1 'only .* free|space' xl snapshot-create -n f1 -D --type external $f
    # Inside as well: QEMU would take it, and the guest's next write fail.
    refused 1 'only .* free' xl snapshot-create -n f2 -D --type internal $f
    eq "images" /mnt/images/b.qcow2 "$(echo /mnt/images/*.qcow2)"
    eq "nothing to do" "nothing to recover" "$(xl snapshot-recover $f)"
    rm /mnt/images/full.*
    GUEST_TIMEOUT=60 one_instant $f
    snapshot $f -n f3 -D
    guest destroy $f
    qemu-img check /mnt/images/b.qcow2
    wipe $f
    umount /mnt/images
}

# --- targets that vanish ------------------------------------------------

vanish() { rm -rf "$WORK/gone"; }

overlay_vanishes() {
    next_number
    mkdir -p "$WORK/gone"
    # In the window of a save that is not live the disks come last.
    hit_at window vanish xl snapshot-create -n "v-$N" --type external \
        --disk "xvdb,target=$WORK/gone/b.qcow2" $g
    eq "status" 1 "$STATUS"
    has "$SAID" 'gone/b.qcow2'
    untouched "v-$N"
}

memory_vanishes() {
    next_number
    mkdir -p "$WORK/gone"
    hit_at window vanish xl snapshot-create -n "w-$N" --type external \
        --memory "$WORK/gone/w.save" $g
    eq "status" 3 "$STATUS"
    has "$SAID" 'gone/w.save'
    whole "w-$N"
    # The disks were taken: they are kept, as what they are.
    eq "consistency" crash "$(record .consistency "w-$N")"
}

# --- QEMU ---------------------------------------------------------------

kill_qemu() { kill -9 "$QEMU"; }

# Its disks are gone with it, and the guest stands before them; more than not
# to be stopped nobody can do for it.
qemu_dies() { # OPTION...
    local last
    next_number
    hit_at window kill_qemu xl snapshot-create -n "q-$N" --type external "$@" $g
    has "$SAID" 'QEMU'
    hasnt "$(state_of $g)" '[ps]'
    case $STATUS in
    1)  # Undone at once.
        has "$SAID" 'undone'
        hasnt "$SAID" 'snapshot-recover'
        [ ! -e "$(store_of $g)/records/q-$N.json" ] || fail "there is a record"
        eq "the journal" "no journal" "$(journal)" ;;
    3)  recovered ;;
    *)  fail "status $STATUS" ;;
    esac
    no_orphans
    # The way out.
    all_clean leaks
    start_from_disks
    data_is $N
    last=$(newest)
    run xl snapshot-info --check $g "$last"
    guest destroy $g
    back_to "$last"
}

# In a deletion: data is on its way.
qemu_dies_in_delete() {
    local last
    next_number
    run xl snapshot-create -n "x-$N" -D --type external $g
    next_number
    run xl snapshot-create -n "y-$N" -D --type external $g
    next_number
    last=$(records $g | tail -n 2 | head -n 1)
    hit_at plan kill_qemu xl snapshot-delete $g "$last"
    [ "$STATUS" -ne 0 ] || echo "it was faster"
    recovered
    no_orphans
    all_clean leaks
    start_from_disks
    data_is $N
    guest destroy $g
    back_to "$(newest)"
}

stop_qemu() { kill -STOP "$QEMU"; }

qemu_stops() {
    trap 'kill -CONT "$QEMU"' EXIT # what it holds would never go away
    next_number
    hit_at window stop_qemu xl snapshot-create -n "s-$N" --type external "$@" $g
    eq "status" 3 "$STATUS"
    has "$SAID" 'did not answer|not known|no reply'
    # Xen runs it, whatever its disks do.
    hasnt "$(state_of $g)" '[ps]'
    # It still does not answer: said again, nothing is changed.
    refused 3 'QEMU hangs|did not answer|no reply' xl snapshot-recover $g
    hasnt "$(state_of $g)" '[ps]'
    kill -CONT "$QEMU"
    whole "s-$N"
}

# --- signals ------------------------------------------------------------

# As a terminal does it: the whole foreground group, twice, or one process.
one_signal() { # KIND NUMBER THOUSANDTHS SIGNAL
    local kind=$1 n=$2 pid ms from
    N=$n
    before "$kind" "$n"
    command_of "$kind" "$n"
    ms=$(($(took "$WORK" "$kind") * $3 / 1000))
    echo "\$ ${CMD[*]}"
    from=${EPOCHREALTIME/./}
    set -m # or the shell has it ignore SIGINT
    "${CMD[@]}" >"$WORK/said" 2>&1 &
    pid=$!
    set +m
    nap "$((ms / 1000)).$(printf %03d $((ms % 1000)))"
    echo "at $ms ms, $4: $(journal)"
    case $4 in
    INT) kill -INT -- -$pid; nap 0.3; kill -INT -- -$pid ;;
    *)   kill "-$4" $pid ;;
    esac 2>/dev/null || true
    STATUS=0
    wait $pid || STATUS=$?
    cat "$WORK/said"
    case $STATUS in
    0)  echo $(((${EPOCHREALTIME/./} - from) / 1000)) >"$WORK/took-${kind%%-*}" ;;
    1)  has "$(cat "$WORK/said")" 'interrupted|cannot|fail' ;;
    *)  fail "status $STATUS" ;;
    esac
    eq "the journal" "no journal" "$(journal)"
    eq "nothing to do" "nothing to recover" "$(xl snapshot-recover $g)"
    case $kind in revert*) guest ready $g ;; esac
    ticks_go_on $g
    one_instant $g
    monitor_of $g >/dev/null || fail "no xl daemon watches $g"
    case $kind in
    revert*) data_is "$n" "$(seed_of "${CMD[-1]}")" ;;
    *)       data_is "$n"
             # All of it, or nothing.
             case $kind in
             delete) ;;
             *) if [ $STATUS -eq 0 ]; then
                    eq "the newest" "$kind-$n" "$(newest)"
                else
                    [ "$(newest)" != "$kind-$n" ] || fail "$kind-$n is there"
                fi ;;
             esac ;;
    esac
    no_orphans
}

ends_well() {
    all_clean leaks
    back_to "$(newest)"
}

echo "# seed $seed: tests/system/run tests/system/test_faults.sh $signals $seed"
RANDOM=$seed
t "guest starts, the store has a file system of its own" -s 700 store_apart
passed || { verdict; exit; }
# What one of these spoils, the next must not find.
hit() { # NAME COMMAND...
    t "$@"
    passed && return
    rm -f $STORE/full.*
    umount /mnt/images /mnt/small 2>/dev/null
    t "a new guest" -s 700 new_guest
}
# Much like one that is hit anyway.
also() {
    if [ "$all" ] || everything; then
        hit "$@"
    else
        echo "# only in check-all: $1"
    fi
}

also "no space for an overlay" no_space_for_overlay
hit "the store fills up in the window" no_space_in_store
hit "the store is full" no_store_at_all
also "no space beside the images" no_space_beside_images
hit "an overlay's folder vanishes in the window" overlay_vanishes
also "the memory image's folder vanishes in the window" memory_vanishes
also "QEMU is killed in the window, disks alone" qemu_dies -D
hit "QEMU is killed in the window, memory" qemu_dies
also "QEMU is killed in the window of a live save" qemu_dies --live
also "QEMU is killed in a deletion" qemu_dies_in_delete
# The command waits five minutes for it.
also "QEMU is stopped in the window, disks alone" qemu_stops -D
also "QEMU is stopped in the window, memory" qemu_stops
t "a new guest" -s 700 new_guest
words=(INT TERM HUP)
for ((i = 1; i <= signals; i++)); do
    kind=${KINDS[(i - 1 + seed) % ${#KINDS[@]}]}
    at=$((RANDOM % 1000)) word=${words[i % 3]}
    t "signal $i: $word, $kind at $at/1000" -s 300 \
        one_signal "$kind" $((i + 100)) $at "$word"
    passed && continue
    xl snapshot-recover $g >/dev/null 2>&1
    t "a new guest" -s 700 new_guest
done
t "all images are clean, the newest snapshot is good" ends_well
wipe $g
umount $STORE
verdict
