#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# limit: 1150
# takes: 100
#
# A command is killed (SIGKILL) at a random moment of its run.  The guest goes
# on by itself; recover leaves a whole snapshot or none, nothing that nobody
# owns, and has nothing to do the second time; every image is clean, and the
# newest snapshot comes up with memory and disks of one instant.
#
#   test_killed.sh [KILLS [SEED]]
#
# SEED repeats the draw of the moments; how far a command is then depends on
# the machine as well.

# shellcheck source=tests/system/crash.sh
. "$(dirname "$0")/crash.sh"

kills=${1:-2}
seed=${2:-101}

# killed_at THOUSANDTHS KIND : of the time it takes; as nobody can catch.  Sets
# STATUS; 137 is ours.
killed_at() {
    local from=${EPOCHREALTIME/./} ms pid
    ms=$(($(took "$WORK" "$2") * $1 / 1000))
    printf -v ms '%d.%03d' $((ms / 1000)) $((ms % 1000))
    echo "\$ ${CMD[*]}"
    "${CMD[@]}" >"$WORK/said" 2>&1 &
    pid=$!
    nap "$ms"
    kill -9 $pid 2>/dev/null || true
    STATUS=0
    wait $pid 2>/dev/null || STATUS=$?
    cat "$WORK/said"
    if [ $STATUS -eq 137 ]; then
        echo "killed after $ms s: $(journal)" | tee -a "$WORK/moments"
        return
    fi
    echo "done before $ms s, status $STATUS"
    # Ended by itself: now it is known how long it takes.
    echo $(((${EPOCHREALTIME/./} - from) / 1000)) >"$WORK/took-${2%%-*}"
    [ $STATUS -eq 0 ]
}

one_kill() { # KIND NUMBER THOUSANDTHS
    local kind=$1 n=$2 at=$3 last
    before "$kind" "$n"
    command_of "$kind" "$n"
    killed_at "$at" "$kind"
    case $kind in
    revert*)
        recovered
        guest ready $g ;;
    *)  # The guest goes on whoever was killed, before anybody recovers.
        ticks_go_on $g
        recovered ;;
    esac
    one_instant $g
    monitor_of $g >/dev/null || fail "no xl daemon watches $g"
    case $kind in
    revert*) data_is "$n" "$(seed_of "${CMD[-1]}")" ;;
    *)       data_is "$n" ;;
    esac
    all_clean strictly
    last=$(newest)
    run xl snapshot-info --check $g "$last"
    back_to "$last"
}

echo "# seed $seed: tests/system/run tests/system/test_killed.sh $kills $seed"
RANDOM=$seed
t "guest starts" -s 700 new_guest
passed || { verdict; exit; }
for ((i = 1; i <= kills; i++)); do
    kind=${KINDS[(i - 1 + seed) % ${#KINDS[@]}]}
    at=$((RANDOM % 1000))
    t "kill $i: $kind at $at/1000" -s 600 one_kill "$kind" $((i + 1)) $at
    passed && continue
    # What the next one begins with must not be what this one spoilt.
    xl snapshot-recover $g >/dev/null 2>&1
    t "a new guest" -s 700 new_guest
    passed || break
done
sed 's/.*: /# killed in: /' "$WORK/moments" 2>/dev/null | sort | uniq -c | sort -rn | sed 's/^ *\([0-9]*\) # /# \1 /'
wipe $g
verdict
