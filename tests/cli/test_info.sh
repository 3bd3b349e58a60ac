#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# snapshot-info, and whether --check sees what is missing.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
. tests/cli/fake.sh

new_world
U=11111111-2222-4333-8444-555555555501
"$FAKE" create vm1 -n s1 --description 'before the upgrade' >/dev/null 2>&1
"$FAKE" create vm1 -n s2 -D --no-disk xvda >/dev/null 2>&1
MEM=$XLFAKE_STORE/$U/memory/s1.save
cp "$MEM" "$T/s1.save"

tree_like() {   # everything below the store, with content
    (cd "$XLFAKE_STORE" && find . -printf '%p %m %T@\n' | LC_ALL=C sort &&
        find . -type f -exec cat {} +) | md5sum
}

before=$(tree_like)
into info.txt
as_xl snapshot-info vm1 s1
as_xl snapshot-info vm1 s2
xs info vm1 s1 --json
as_xl snapshot-info vm1 s1 --check
as_xl snapshot-info vm1 s2 --check
xs info vm1 s2 --check --json
xs info vm1 none
xs info vm1 none --json
xs info nobody s1
is "nothing is changed" "$(tree_like)" "$before"
golden info.txt "$T/info.txt"

is "by number" "$("$FAKE" info 1 s2 2>&1)" "$("$FAKE" info vm1 s2 2>&1)"
is "by UUID" "$("$FAKE" info "$U" s2 2>&1)" "$("$FAKE" info vm1 s2 2>&1)"

# --- what is not whole ------------------------------------------------------

into info-check.txt
# shellcheck disable=SC2154  # fake.sh sets it
check() {       # from what went wrong on
    echo "-- $1" >>"$script"
    run "$FAKE" info vm1 s1 --check
    out=$(sed -n '/^PART/,$p' <<<"$out")
    transcribe "xl-snapshot info vm1 s1 --check"
}
rm "$MEM"
check "the memory image is gone"
xs info vm1 s1
cp "$T/s1.save" "$MEM"
truncate -s -1 "$MEM"
check "it is cut"
cp "$T/s1.save" "$MEM"
printf x | dd of="$MEM" bs=1 seek=40 conv=notrunc 2>/dev/null
check "a byte is another"
printf xxxx | dd of="$MEM" bs=1 conv=notrunc 2>/dev/null
check "it has no header"
rm "$MEM"
ln -s "$T/s1.save" "$MEM"
check "it is a link"
rm "$MEM"
mkfifo "$MEM"
check "it is a pipe"
rm "$MEM"
export XLFAKE_AT="disk verify EIO"
check "a disk is damaged as well"
xs info vm1 s1 --check --json
unset XLFAKE_AT
# What is in a memory image depends on where this runs.
sed -i -E 's/[0-9]+ bytes and was recorded with [0-9]+/N bytes and was recorded with M/' \
    "$script"
golden info-check.txt "$T/info-check.txt"
cp "$T/s1.save" "$MEM"

# --- the domain is gone; there is no Xen ------------------------------------

world=$XLFAKE_WORLD
run env XLFAKE_NOXEN=1 "$FAKE" info vm1 s1
is "without Xen" "$out" "$("$FAKE" info vm1 s1 2>/dev/null)"
has "and a note says so" "$err" "note: going by the store alone"
run env XLFAKE_NOXEN=1 "$FAKE" info vm1 s1 --check
is "without Xen nothing can be checked" "$status $out" "1 "
has "which is said" "$err" "no Xen is running here"
XLFAKE_WORLD=$T/empty-world
head -c "$(stat -c %s "$world")" /dev/zero >"$XLFAKE_WORLD"
run "$FAKE" info vm1 s2
is "a domain that is gone" "$status" 0
run "$FAKE" info vm1 s2 --check
is "its images went with the world" "$status" 1
has "it says what to do" "$err" "put back what is named above"
XLFAKE_WORLD=$world

# --- hostile ----------------------------------------------------------------

R=$XLFAKE_STORE/$U/records
sed -e 's/"name": "s1"/"name": "evil"/' \
    -e 's/before the upgrade/\\u001b[2J/' "$R/s1.json" >"$R/evil.json"
run "$FAKE" info vm1 evil
is "a control character: refused" "$status" 1
is "and not printed" "$(tr -cd '\033' <"$T/err" | wc -c)" 0
has "but named" "$err" "description: control character"
sed -e 's/"name": "s1"/"name": "evil"/' "$R/s1.json" |
    sed -E '/"frozen": /,/}/s|("id": ")/img/b.raw|\1/img/\\u0007|' >"$R/evil.json"
run "$FAKE" info vm1 evil
is "in a path: refused" "$status $out" "1 "
rm "$R/evil.json"
printf 'garbage' >"$XLFAKE_STORE/$U/state.json"
run "$FAKE" info vm1 s1
is "a damaged state is no obstacle" "$status" 0
has "and is said" "$err" "it is not known which snapshot is current"

# --- the progress -----------------------------------------------------------

rm "$XLFAKE_STORE/$U/state.json"
run "$FAKE" info vm1 s1 --check
is "no progress line without a terminal" "$(tr -cd '\r' <"$T/err")" ""

finish
