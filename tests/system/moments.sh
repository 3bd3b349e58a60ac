# SPDX-License-Identifier: LGPL-2.1-only
# shellcheck shell=bash
#
# What is hit at random moments, and when: for crash.sh in dom0, and for
# host_power.sh outside.

# The commands, by kind.  l and n: memory, live or not; d: disks only; then
# internal, external or both.
# shellcheck disable=SC2034 # of those who source this
KINDS=(n-mixed n-external l-external n-internal d-mixed revert l-internal
    delete d-external l-mixed d-internal revert-old)

# took FOLDER KIND : how long such a command takes, in ms: as the last one did
# that came to its end, noted in FOLDER/took-CLASS by whom it was run.  At first
# a guess, rather too long: what ends before its moment is known from then on.
took() {
    cat "$1/took-${2%%-*}" 2>/dev/null && return
    case $2 in
    d-*)     echo 2000 ;;
    delete|pull|merge) echo 2000 ;;
    n-*)     echo 4500 ;;
    *)       echo 7000 ;;
    esac
}
