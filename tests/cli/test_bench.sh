#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# The benchmarks that need no lab run, and say what they are to say.  Their
# figures are nothing that a test could judge.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

export BUILD
run env TMPDIR="$T" tools/bench/plan.sh 20 2
is "plan.sh comes to its end" "$status$err" 0
for plan in create revert clone delete children; do
    if grep -qE "^$plan( +[0-9]+){3} .* times" <<<"$out"; then
        ok "plan.sh: $plan"
    else
        not_ok "plan.sh: $plan" "$out"
    fi
done
has "plan.sh judges" "$out" "the aim is at most 1000"

run env TMPDIR="$T" tools/bench/list.sh 40
is "list.sh comes to its end" "$status$err" 0
finish
