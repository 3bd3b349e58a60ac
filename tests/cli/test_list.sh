#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# snapshot-list: its forms, what it tolerates, and that it changes nothing.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
. tests/cli/fake.sh

U=11111111-2222-4333-8444-5555555555

# The times of snapshots, for an order that does not hang on the clock.
aged() {        # file, seconds
    sed -i -E "s/(\"created\": )[0-9]+/\\1$2/" "$1"
}
tree_like() {   # everything below the store, with content
    (cd "$XLFAKE_STORE" && find . -printf '%p %m %T@\n' | LC_ALL=C sort &&
        find . -type f -exec cat {} +) | md5sum
}

new_world
"$FAKE" create vm1 -n s1 --description 'before the upgrade' >/dev/null 2>&1
"$FAKE" create vm1 -n s2 >/dev/null 2>&1
"$FAKE" revert vm1 s1 >/dev/null 2>&1
"$FAKE" create vm1 -n s3 -D --type external >/dev/null 2>&1
"$FAKE" create vm2 -n cold -D >/dev/null 2>&1
V1=$XLFAKE_STORE/${U}01/records V2=$XLFAKE_STORE/${U}02/records
aged "$V1/s1.json" 1000000000
aged "$V1/s2.json" 1000000060
aged "$V1/s3.json" 1000000120
aged "$V2/cold.json" 1000000030

into list.txt
as_xl snapshot-list vm1
as_xl snapshot-list
as_xl snapshot-list --long vm2
as_xl snapshot-list --long
as_xl snapshot-list --tree
as_xl snapshot-list vm1 --tree
as_xl snapshot-list vm3
as_xl snapshot-list vm3 --tree
as_xl snapshot-list vm3 --long
as_xl snapshot-list nobody
xs list "${U}02"
xs list "${U}03"
xs list --json
xs list vm2 --long --json
xs list nobody --json
xs list --store "$T/none"
xs info vm3 base --store "$T/none"
xs delete vm3 base --store "$T/none"
xs clone vm3 base vm9 --store "$T/none"
xs recover --store "$T/none"
golden list.txt "$T/list.txt"

# A number is as good as a name, and so is a UUID in any case.
"$FAKE" list vm2 >"$T/by-name" 2>&1
is "by number" "$("$FAKE" list 2 2>&1)" "$(cat "$T/by-name")"
is "by UUID" "$("$FAKE" list "$(tr a-f A-F <<<"${U}02")" 2>&1)" \
    "$(cat "$T/by-name")"

# Domains that are gone are listed, by the name they had and by their UUID.
XLFAKE_WORLD=$T/empty-world
head -c "$(stat -c %s "$T/world")" /dev/zero >"$XLFAKE_WORLD"
is "a domain that is gone: by its name" "$("$FAKE" list vm2 2>&1)" \
    "$(cat "$T/by-name")"
has "with all others" "$("$FAKE" list 2>&1)" "vm1     1000000000  s1"
has "the tree says that it is gone" "$("$FAKE" list vm2 --tree)" \
    "vm2 (${U}02), not there"
run "$FAKE" list 1
is "a number is no name" "$status" 1
XLFAKE_WORLD=$T/world

# Without Xen the store alone answers.
run env XLFAKE_NOXEN=1 "$FAKE" list vm2
is "without Xen" "$out, $status" "$(cat "$T/by-name"), 0"
has "and a note says so" "$err" \
    "note: going by the store alone, since Xen cannot be asked: no Xen is"

# It only looks.
before=$(tree_like)
for how in "" --long --tree --json; do
    # shellcheck disable=SC2086
    "$FAKE" list $how >/dev/null 2>&1
done
is "nothing is changed" "$(tree_like)" "$before"

# --- damage -----------------------------------------------------------------

cp -a "$XLFAKE_STORE" "$T/good"
into list-damage.txt
printf '{"format": 1,' >"$V1/torn.json"
printf '{"format": 7}' >"$V1/later.json"
cp "$V2/cold.json" "$V1/cold.json"
echo hello >"$V1/foreign.txt"
printf 'x' >"$V1/"$'bad\033[2J.json'
ln -s s1.json "$V1/link.json"
sed 's/"driver": "[^"]*"/"driver": "zfs"/' "$V1/s1.json" >"$V1/s9.json"
sed -i 's/"name": "s1"/"name": "s9"/' "$V1/s9.json"
xs list vm1
xs list vm1 --json
xs list --tree
printf 'garbage' >"$XLFAKE_STORE/${U}01/state.json"
xs list vm1 --tree
xs recover vm1
chmod 777 "$XLFAKE_STORE/${U}02"
xs list
xs list vm2
golden list-damage.txt "$T/list-damage.txt"

# --- families ---------------------------------------------------------------

child_of() {    # name, parent ('' for none), seconds
    sed -E -e "s/\"name\": \"s1\"/\"name\": \"$1\"/" \
        -e "s/\"created\": [0-9]+/\"created\": $3/" \
        -e '/"parent":/d' "$T/good/${U}01/records/s1.json" |
        sed -E "${2:+s/(\"created\": [0-9]+),/\\1, \"parent\": \"$2\",/}" \
            >"$V1/$1.json"
}
family() {
    rm -rf "$XLFAKE_STORE"
    cp -a "$T/good" "$XLFAKE_STORE"
    rm -f "$V1"/* "$V2"/*
}
into list-tree.txt
family
t=1000000000
for pair in a: b:a c:b d:a e:d f:d g:a root2: h:root2 lost:gone k:lost \
    x:z y:x z:y w:z self:self; do
    t=$((t + 60))
    child_of "${pair%:*}" "${pair#*:}" $t
done
sed -i 's/"current": "[^"]*"/"current": "f"/' "$XLFAKE_STORE/${U}01/state.json"
xs list vm1 --tree
sed -i 's/"current": "[^"]*"/"current": "went"/' \
    "$XLFAKE_STORE/${U}01/state.json"
xs list vm1 --tree
family
last=
for i in $(seq 1 30); do
    child_of "n$i" "$last" $((1000000000 + i))
    last=n$i
done
xs list vm1 --tree
golden list-tree.txt "$T/list-tree.txt"

# --- a command that was interrupted, and one at work ------------------------

new_world
into list-journal.txt
run env XLFAKE_AT="hyp save KILL" "$FAKE" create vm1 -n s1
before=$(tree_like)
xs list vm1
xs list --tree --json
is "an interrupted command is left as it is" "$(tree_like)" "$before"
: >"$XLFAKE_STORE/${U}01/journal"
xs list
golden list-journal.txt "$T/list-journal.txt"

# A journal whose command lives is nothing to recover.
(
    me=$BASHPID
    boot=$(cat /proc/sys/kernel/random/boot_id)
    start=$(sed 's/.*) //' "/proc/$me/stat" | cut -d' ' -f20)
    echo "$me $boot $start snapshot-create" \
        >"$XLFAKE_STORE/${U}01/lock"
    for command in "list vm1" "recover -N vm1" "create -N vm1 --disk-only"; do
        # shellcheck disable=SC2086 # words
        "$FAKE" $command 2>&1 | sed -E 's/pid [0-9]+/pid PID/'
    done
) >"$T/at-work"
is "a command at work" "$(grep -v "^domain " "$T/at-work" | head -n 3)" \
    "xl-snapshot list: note: vm1: snapshot-create (pid PID) is at work
no snapshots
${U}01  snapshot-create (pid PID) is at work and needs no recovery"
is "a plan beside it says so" "$(grep -c "^xl-snapshot create: note: \
snapshot-create (pid PID) is at work and needs no recovery" "$T/at-work")" 1

finish
