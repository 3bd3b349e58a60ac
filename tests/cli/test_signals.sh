#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# A command is told to stop at every call that it makes: it exits 1 with
# everything undone, or 0 with everything done, whichever signal it is and
# however often it comes.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
. tests/cli/fake.sh

files() {       # what is in the store but its own
    find "$XLFAKE_STORE" -type f ! -name lock ! -name state.json -printf '%P\n' |
        sort
}

keep() {        # the world, as it is before each try
    rm -rf "$T/kept"
    mkdir "$T/kept"
    cp -a "$XLFAKE_STORE" "$XLFAKE_WORLD" "$T/kept"
}

again() {
    rm -rf "$XLFAKE_STORE" "$XLFAKE_WORLD"
    cp -a "$T/kept/." "$T"
}

# every_call STEP SIGNAL ARGUMENT... : at each STEP-th call.  Says what went
# wrong, and how many tries there were as its last line.
every_call() {
    local step=$1 sig=$2 n ok all before
    shift 2
    before=$(files)
    keep
    run "$FAKE" "$@"
    all=$(files)
    [ "$status" = 0 ] || { echo "without a signal: $err"; return; }
    for ((n = 1; ; n += step)); do
        again
        run env --default-signal XLFAKE_AT="call $n $sig" "$FAKE" "$@"
        case $status in
        0)  ok=$all
            # Nothing was said of it: the call does not exist.
            [ -e "$T/reached" ] || break ;;
        1)  ok=$before
            case $err in
            *interrupted*) ;;
            *) echo "call $n: said: $err" ;;
            esac ;;
        *)  echo "call $n: status $status: $err"; ok=$(files) ;;
        esac
        [ "$(files)" = "$ok" ] || echo "call $n: status $status, left:" \
            "$(diff <(echo "$ok") <(files))"
        rm -f "$T/reached"
        run "$FAKE" recover vm1
        [ "$out" = "nothing to recover" ] || echo "call $n: recover: $out$err"
        [ $((n % 5)) = 0 ] || continue
        run "$FAKE" create vm1 -n after
        [ "$status" = 0 ] || echo "call $n: the next command: $err"
    done
    again
    echo "$n"
}

told() {        # NAME ARGUMENT... ; the world is ready for it
    local name=$1 sig n said step
    shift
    for sig in INT INT2 TERM HUP; do
        step=1
        case $sig in INT) ;; *) step=11 ;; esac
        said=$(every_call $step $sig "$@")
        n=${said##*$'\n'}
        if [ "$n" = "$said" ] && [ "$n" -gt 20 ]; then
            ok "$name: $sig at each of $((n - 1)) calls"
        else
            not_ok "$name: $sig" "$said"
        fi
    done
}

export XLFAKE_REACHED=$T/reached
new_world
"$FAKE" create vm1 -n s0 >/dev/null 2>&1
told "create" create vm1 -n s1
told "create --disk-only --type external" create vm1 -n s1 -D --type external
"$FAKE" create vm1 -n s1 >/dev/null 2>&1
told "revert" revert vm1 s1
"$FAKE" create vm1 -n s2 -D --type external >/dev/null 2>&1
"$FAKE" create vm1 -n s3 -D --type external >/dev/null 2>&1
told "delete" delete vm1 s2
finish
