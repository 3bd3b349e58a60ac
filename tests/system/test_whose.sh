#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# limit: 1400
# takes: 400
#
# Others act beside a command of ours, or after one that was killed: their
# guest is theirs.  A revert is killed and the domain is started by hand; the
# guest reboots, is paused or is destroyed at some moment of a command.  No
# guest ends but by the command that says so, what it wrote stays, and the
# next command works.
#
#   test_whose.sh [MOMENTS [SEED [KINDS]]]     KINDS: a pattern, of those below

# shellcheck source=tests/system/crash.sh
. "$(dirname "$0")/crash.sh"

moments=${1:-3}
seed=${2:-303}
kinds=${3:-.}

# killed_at_step STEP COMMAND... : as soon as the journal has it
killed_at_step() {
    local step=$1 pid end=$((SECONDS + 60))
    shift
    echo "\$ $*"
    "$@" >"$WORK/said" 2>&1 &
    pid=$!
    until grep -qs "\"step\":\"$step\"" "$(store_of $g)/journal"; do
        kill -0 $pid 2>/dev/null || break
        [ $SECONDS -lt $end ] || break
        nap 0.01
    done
    kill -9 $pid 2>/dev/null || true
    STATUS=0
    wait $pid 2>/dev/null || STATUS=$?
    cat "$WORK/said"
    echo "killed: $(journal)"
    eq "status" 137 $STATUS
}

# The same guest, in the same boot, with the data of SEED.
untouched() { # BOOT SEED
    one_instant $g "boot=$1"
    ticks_go_on $g
    data_is "$2"
}

# After the kill the domain is gone, or about to go.
started_by_hand() { # TYPE
    local boot domid status=0 end=$((SECONDS + 60))
    ask $g fill 2 $MB >/dev/null
    run xl snapshot-create -n "own-$1-2" --type "$1" $g
    ask $g fill 3 $MB >/dev/null
    killed_at_step destroy xl snapshot-revert $g "own-$1-2"
    nap 2
    guest destroy $g
    until ! xl domid $g >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || fail "$g does not go"
        nap 0.2
    done
    start_from_disks
    ask $g fill 4 $MB >/dev/null
    boot=$(boot_of $g)
    domid=$(xl domid $g)
    # Whatever the next command says of the one before it.
    xl snapshot-create -n "after-$1-4" --type "$1" $g || status=$?
    echo "status $status"
    [ $status -eq 0 ] || [ $status -eq 3 ] || fail "status $status"
    eq "the domain's number" "$domid" "$(xl domid $g)"
    untouched "$boot" 4
    # Off again, what it wrote is still there for whoever starts it.
    guest destroy $g
    status=0
    xl snapshot-recover $g || status=$?
    if [ $status -ne 0 ]; then
        eq "recover's status" 3 $status
        run xl snapshot-recover --keep $g
    fi
    # Or it was undone, and the domain booted as it was before.
    guest destroy $g
    start_from_disks
    data_is 4
    status=0
    xl snapshot-recover $g || status=$?
    eq "the journal in the end" "no journal" "$(journal)"
    run xl snapshot-create -n "then-$1-4" --type "$1" $g
    back_to "own-$1-2"
}

# at_moment THOUSANDTHS KIND ACT... : beside it; its status is in STATUS
at_moment() {
    local from=${EPOCHREALTIME/./} ms pid at=$1 kind=$2 early acted=0
    shift 2
    ms=$(($(took "$WORK" "$kind") * at / 1000))
    printf -v ms '%d.%03d' $((ms / 1000)) $((ms % 1000))
    echo "\$ ${CMD[*]}"
    "${CMD[@]}" >"$WORK/said" 2>&1 &
    pid=$!
    nap "$ms"
    kill -0 $pid 2>/dev/null || early=1
    echo "after $ms s ($(journal)): $*"
    "$@" || acted=$?
    # A revert has no guest for a while; any other command has one always.
    [ $acted -eq 0 ] || [[ $kind == revert* ]] ||
        fail "\"$*\" did not happen: $acted"
    STATUS=0
    wait $pid 2>/dev/null || STATUS=$?
    cat "$WORK/said"
    ms=$(((${EPOCHREALTIME/./} - from) / 1000))
    echo "ended after $ms ms, status $STATUS"
    # It ends sooner than was thought, so later moments come sooner, too.
    [ -z "${early:-}" ] || echo $((ms * 4 / 5)) >"$WORK/took-${kind%%-*}"
    case $STATUS in
    0|1|3) ;;
    *) fail "status $STATUS" ;;
    esac
}

reboots()  { GUEST_TIMEOUT=20 ask $g reboot >/dev/null; }
destroyed() { xl destroy $g; }
paused()   { xl pause $g; }

# What must hold after each.
after() { # SEED...
    # Between its old and its new domain there is nothing to look at.
    guest ready $g
    [ "$STATUS" -ne 3 ] || run xl snapshot-recover $g
    one_instant $g
    data_is "$@"
    eq "the journal" "no journal" "$(journal)"
    run xl snapshot-list $g
    all_clean strictly
    start_from_disks
}

# Deleted with what is over the frozen image holding more than it, or less: that
# takes over its data, or is merged into it.
to_delete() { # pull|merge NUMBER
    ask $g fill "$2" $MB >/dev/null
    run xl snapshot-create --type external -D -n "$1-1-$2" $g
    [ "$1" = pull ] || ask $g fill "$2" $MB >/dev/null
    run xl snapshot-create --type external -D -n "$1-2-$2" $g
    [ "$1" = merge ] || ask $g fill "$2" $MB >/dev/null
    CMD=(xl snapshot-delete "$g" "$1-2-$2")
}

prepare() { # KIND NUMBER
    before "$1" "$2"
    case $1 in
    pull|merge) to_delete "$1" "$2" ;;
    *)          command_of "$1" "$2" ;;
    esac
}

reboot_beside() { # KIND NUMBER THOUSANDTHS
    local kind=$1 n=$2
    prepare "$kind" "$n"
    at_moment "$3" "$kind" reboots
    # It comes again, by its daemon, or it is the one that the revert made.
    case $kind in
    revert*) after "$n" "$(seed_of "${CMD[-1]}")" ;;
    *)       after "$n" ;;
    esac
}

destroy_beside() { # KIND NUMBER THOUSANDTHS
    local kind=$1 n=$2 status
    before "$kind" "$n"
    command_of "$kind" "$n"
    at_moment "$3" "$kind" destroyed
    guest gone $g 60
    if [ $STATUS -ne 0 ]; then run xl snapshot-recover $g; fi
    all_clean strictly
    start_from_disks
    data_is "$n"
    status=$(journal)
    eq "the journal" "no journal" "$status"
}

pause_beside() { # KIND NUMBER THOUSANDTHS
    local kind=$1 n=$2
    before "$kind" "$n"
    command_of "$kind" "$n"
    at_moment "$3" "$kind" paused
    # Its user's pause may have come before or within ours; either he has to
    # end it or the guest runs.
    xl unpause $g
    ticks_go_on $g
    after "$n"
}

# stopped_in_exchange COMMAND... : with the guest paused for it; sets PID.  No
# process is started in the loop: those cost too much here to be in time.
stopped_in_exchange() {
    local text='' file end=$((SECONDS + 60))
    file=$(store_of $g)/journal
    echo "\$ $*"
    "$@" >"$WORK/said" 2>&1 &
    PID=$!
    until [[ $text == *'"pause-'* ]] || [ $SECONDS -ge $end ]; do
        { read -r -d '' text <"$file"; } 2>/dev/null || true
    done
    kill -STOP "$PID"
    read -r -d '' text <"$file" || true
    [[ $text == *'"pause-'* ]] && [[ $text != *'"resumed-'* ]]
}

# The guest has been told to reboot when its guardian lets it go on.
reboot_in_exchange() {
    local n boot
    for n in 60 61 62 63 64; do
        before merge $n
        to_delete merge $n
        boot=$(boot_of $g)
        stopped_in_exchange "${CMD[@]}" && break
        echo "too late: $(journal)"
        kill -CONT "$PID"
        wait "$PID"
    done
    echo "stopped: $(journal), $(state_of $g)"
    reboots &
    nap 0.5
    kill -9 "$PID"
    wait "$PID" || true
    boots_anew $g "$boot"
    # Its guardian, or the next command, finishes; nobody has to say which of
    # two images is right.
    run xl snapshot-recover $g
    STATUS=0
    after $n
}

echo "# seed $seed: tests/system/run tests/system/test_whose.sh $moments $seed"
RANDOM=$seed
t "guest starts" -s 700 new_guest
passed || { verdict; exit; }
for type in external internal; do
    how=t
    [ $type = external ] || how=rare
    $how "revert killed, started by hand, snapshotted: $type" -s 400 \
        started_by_hand $type
    passed && continue
    xl snapshot-recover $g >/dev/null 2>&1
    t "a new guest" -s 700 new_guest
    passed || { verdict; exit; }
done
t "a deletion killed in its exchange, and the guest reboots" -s 600 \
    reboot_in_exchange
passed || {
    xl snapshot-recover $g >/dev/null 2>&1
    t "a new guest" -s 700 new_guest
}
JOBS=(reboot_beside:n-external destroy_beside:l-mixed reboot_beside:revert
    pause_beside:n-mixed reboot_beside:merge reboot_beside:l-external
    reboot_beside:pull reboot_beside:d-mixed)
mapfile -t JOBS < <(printf "%s\n" "${JOBS[@]}" | grep -E -- "$kinds")
for ((i = 0; i < moments; i++)); do
    job=${JOBS[i % ${#JOBS[@]}]}
    at=$((RANDOM % 1000))
    t "${job%%:*} ${job##*:}, at $at/1000" -s 600 \
        "${job%%:*}" "${job##*:}" $((i + 10)) $at
    passed && continue
    xl snapshot-recover $g >/dev/null 2>&1
    t "a new guest" -s 700 new_guest
    passed || break
done
wipe $g
verdict
