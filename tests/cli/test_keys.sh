#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# Whoever started a command with a signal ignored (nohup, a background job of
# a script) meant it, before the command has begun its work and in the middle;
# and Ctrl-Z never stops one with its guest at rest.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
. tests/cli/fake.sh

new_world
n=0
for call in "hyp find" "hyp save" "disk take"; do
    for sig in HUP INT TERM; do
        n=$((n + 1))
        run timeout 20 env --ignore-signal=HUP,INT,TERM \
            XLFAKE_AT="$call $sig" "$FAKE" create vm1 -n "s$n"
        is "SIG$sig, ignored, at $call" "$status" 0
    done
done
run timeout -k 5 20 env --default-signal XLFAKE_AT="hyp save TSTP" \
    "$FAKE" create vm1 -n z
is "Ctrl-Z with the guest at rest" "$status" 0
run "$FAKE" list vm1
is "all of them are there" "$(grep -c ' s[0-9] \| z ' <<<"$out")" $((n + 1))
finish
