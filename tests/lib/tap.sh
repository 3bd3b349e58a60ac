# SPDX-License-Identifier: LGPL-2.1-only
# shellcheck shell=bash
#
# What a test in shell prints: TAP, as prove(1) reads it.  Each check prints one
# line; finish() prints how many there should have been, and ends the script.
# Whoever dies before has printed no plan, and that is a failure.  A check in a
# process of its own ("( ok … )") is not counted here, so it is one as well.

TAP_RUN=0
TAP_BAD=0

ok() { # WHAT
    TAP_RUN=$((TAP_RUN + 1))
    echo "ok $TAP_RUN - $1"
}

not_ok() { # WHAT [WHY, which may have lines]
    TAP_RUN=$((TAP_RUN + 1))
    TAP_BAD=1
    echo "not ok $TAP_RUN - $1"
    printf '%s\n' "${2:-}" | sed 's/^/# /'
}

skip() { # WHAT WHY
    TAP_RUN=$((TAP_RUN + 1))
    echo "ok $TAP_RUN - $1 # SKIP $2"
}

finish() {
    echo "1..$TAP_RUN"
    exit $TAP_BAD
}
