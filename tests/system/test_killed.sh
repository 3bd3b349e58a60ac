#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# limit: 2700
#
# The command is killed (SIGKILL), at moments spread over all of its run.  The
# guest goes on by itself; recover leaves a whole snapshot or none, no file
# that nobody owns, and has nothing to do the second time.
#
#   test_killed.sh [KILLS]

# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

g=killed
kills=${1:-4}

# after_ms MS COMMAND... : kill it then, as nobody can catch
after_ms() {
    local ms=$1 pid
    shift
    "$@" >"$WORK/said" 2>&1 &
    pid=$!
    printf -v ms '%d.%03d' $((ms / 1000)) $((ms % 1000))
    sleep "$ms"
    if kill -9 $pid 2>/dev/null; then
        echo "killed after $ms s: $(journal)"
    else
        echo "done before $ms s"
    fi
    wait $pid 2>/dev/null || true
    cat "$WORK/said"
}

journal() { # the last step that it had written down
    local f
    f=$(store_of $g)/journal
    [ -s "$f" ] || { echo "no journal"; return 0; }
    tail -n 1 "$f" | grep -o '"step":"[a-z]*"' || echo "a journal"
}

how_long() { # COMMAND... ; sets TOOK, in ms
    local from=${EPOCHREALTIME/./} to
    run "$@"
    to=${EPOCHREALTIME/./}
    TOOK=$(((to - from) / 1000))
    echo "took $TOOK ms"
}

# Every file beside the guest's images is one that somebody names.
no_orphans() {
    local dir f store bad=0
    dir=$(guest dir $g)
    store=$(store_of $g)
    { images_of $g
      jq -r '.disks[]? | .frozen_path, .active_path' "$store"/records/*.json
      echo "$dir/$g.cfg"
    } 2>/dev/null | sort -u >"$WORK/named"
    for f in "$dir"/*; do
        grep -qxF "$f" "$WORK/named" || { echo "nobody owns $f"; bad=1; }
    done
    jq -r '.memory.path // empty' "$store"/records/*.json 2>/dev/null |
        sort -u >"$WORK/named"
    for f in "$store"/memory/*; do
        [ -e "$f" ] || continue
        grep -qxF "$f" "$WORK/named" || { echo "nobody owns $f"; bad=1; }
    done
    if find "$store" "$dir" -name '*.part' -o -name '*.new' \
        -o -name '*.xlsnap-*' | grep .; then
        bad=1
    fi
    return $bad
}

whole_again() {
    local out
    run xl snapshot-recover $g
    out=$(xl snapshot-recover $g)
    eq "a second recover" "nothing to recover" "$out"
    one_instant $g
    monitor_of $g >/dev/null || fail "no xl daemon watches $g"
    no_orphans
}

# xl's prompt must come back with the guest running, whoever was killed.
create_killed() { # HOW-MANY OPTION...
    local n=$1 i
    shift
    how_long xl snapshot-create -n "whole$n" "$@" $g
    for ((i = 1; i <= n; i++)); do
        after_ms $((TOOK * i / (n + 1))) xl snapshot-create -n "k$n-$i" "$@" $g
        ticks_go_on $g
        whole_again
    done
}

revert_killed() { # HOW-MANY SNAPSHOT
    local n=$1 i
    how_long xl snapshot-revert $g "$2"
    for ((i = 1; i <= n; i++)); do
        after_ms $((TOOK * i / (n + 1))) xl snapshot-revert $g "$2"
        run xl snapshot-recover $g
        guest ready $g
        whole_again
    done
}

still_good() {
    run xl snapshot-revert $g "whole$kills"
    one_instant $g
    poweroff_inside $g
    images_clean $g
}

t "guest starts" -s 700 fresh $g pvh --disk xvda:qcow2:256M --disk xvdb:raw:256M
passed || { verdict; exit; }
t "snapshot-create killed $kills times: the guest goes on" -s 1200 \
    create_killed "$kills"
t "external ones, killed $((kills - 2)) times" -s 1200 \
    create_killed $((kills - 2)) --type external
t "snapshot-revert killed $kills times: back, or as it was" -s 1200 \
    revert_killed "$kills" "whole$kills"
t "the first snapshot is still good, all images clean" still_good
wipe $g
verdict
