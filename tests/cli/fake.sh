# SPDX-License-Identifier: LGPL-2.1-only
# shellcheck shell=bash disable=SC2154
#
# Transcripts of xl-snapshot over the fakes, made alike from run to run.
FAKE=$BUILD/tests/xl-snapshot-fake
[ -x "$FAKE" ] || {
    not_ok "there is no $FAKE; make test-programs"
    finish
}
export XLFAKE_STORE=$T/store XLFAKE_WORLD=$T/world XLFAKE_ISO=$T/cd.iso
: >"$XLFAKE_ISO"
script=

into() {        # the transcript to write from now on
    script=$T/$1
    : >"$script"
}

filter() {
    sed -E -e "s|$T|DIR|g" \
        -e 's/[0-9.]+ (ms|s)\b/TIME/g' \
        -e 's/("(window|disks|total|down)_ms": )[0-9.]+/\1TIME/' \
        -e 's/[0-9a-f]{32}/HASH/g' \
        -e 's/("(space_free|space_needed|size)": )[0-9]+/\1SIZE/' \
        -e 's/\b[0-9]+ B\b/SIZE/' -e 's/(space needed +).*/\1SIZE/' \
        -e 's/-[a-z0-9]{9}\.qcow2/-OP.qcow2/g' \
        -e 's/(space free there +).*/\1FREE/' \
        -e 's/00:16:3e(:[0-9a-f]{2}){3}/MAC/g' \
        -e '/11111111-2222-4333/!s/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/UUID/g' \
        -e 's/\b1[0-9]{9}\b/EPOCH/g' \
        -e 's/20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z/DATE/g'
}

transcribe() {  # what was typed; after run
    {
        echo "\$ $1"
        printf '%s' "${out:+$out
}"
        [ -z "$err" ] || printf '%s\n' "$err" | sed 's/^/! /'
        [ "$status" = 0 ] || echo "= $status"
        echo
    } | filter >>"$script"
}

typed() {
    local w s=
    for w; do
        case $w in
        '' | *[!a-zA-Z0-9_./=,-]*) s+=" '$w'" ;;
        *) s+=" $w" ;;
        esac
    done
    echo "${s# }"
}

# Signals as they are by default, and an end even to one that was stopped.
limited() {
    run timeout -k 5 60 env --default-signal "$@"
}

xs() {
    limited "$FAKE" "$@"
    transcribe "$(typed xl-snapshot "$@")"
}

# shellcheck disable=SC2016 # for the other bash
as_xl() {
    limited bash -c 'exec -a xl "$0" "$@"' "$FAKE" "$@"
    transcribe "$(typed xl "$@")"
}

new_world() {
    rm -rf "$XLFAKE_STORE" "$XLFAKE_WORLD"
    mkdir -m 700 "$XLFAKE_STORE"
}
