#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# What --json prints is what docs/json-schema says: all objects in the
# transcripts, and those of the commands here.  No key ever leaves: all that
# was promised once is in json-keys.txt.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
. tests/cli/fake.sh
SCHEMAS=docs/json-schema
KEYS=tests/cli/json-keys.txt

perl -MJSON::PP -e 1 2>/dev/null || {
    skip "--json and its schemas" "perl's JSON::PP is not installed"
    finish
}
schema() {
    perl tests/cli/json_schema.pl "$@"
}

# --- what is promised --------------------------------------------------------

schema keys $SCHEMAS/*.json | LC_ALL=C sort >"$T/keys"
is "no key has left" "$(LC_ALL=C comm -13 "$T/keys" $KEYS)" ""
is "each new key is in $KEYS from now on" \
    "$(LC_ALL=C comm -23 "$T/keys" $KEYS)" ""

# --- what is printed ---------------------------------------------------------

: >"$T/seen"
is "all objects in the transcripts" \
    "$(schema golden $SCHEMAS "$GOLDEN"/*.txt 2>>"$T/seen")" ""

hold() {        # SCHEMA, arguments
    local of=$1
    shift
    limited "$FAKE" "$@" --json
    is "$*" "$(schema check "$SCHEMAS/$of.json" "$T/out" 2>>"$T/seen")" ""
}
new_world
hold create-dry-run create vm1 -n s1 --description "a line" -N
hold create create vm1 -n s1 --description "a line"
hold create create vm3 -n o --memory "$T/m.save" --no-metadata \
    --output "$T/o.cfg"
hold error create vm1 -n s1
hold error create
hold revert-dry-run revert vm1 s1 -N
hold revert-dry-run revert vm3 --config "$T/o.cfg" -N
hold revert revert vm1 s1
hold clone-dry-run clone vm1 s1 web -N
hold clone clone vm1 s1 web
hold clone clone vm1 s1 web2 --no-start
# One with a network device, and without a disk.
R=$XLFAKE_STORE/11111111-2222-4333-8444-555555555501
sed -i 's/"domain_config": {/&"nics": [{"devid": 0, "mac": "00:16:3e:00:00:01"}],/' \
    "$R/records/s1.json"
hold clone-dry-run clone vm1 s1 web3 -N
hold clone clone vm1 s1 web3
hold create create vm1 -n part -D --no-disk xvda
hold clone-dry-run clone vm1 part web4 -N
hold clone clone vm1 part web4
hold list list
hold list list --tree
hold list-long list --long
hold info info vm1 s1 --check
XLFAKE_AT="hyp save KILL" limited "$FAKE" create vm3 -n s1
hold list list vm3
hold recover recover -N
hold recover recover
hold recover recover
hold create create vm3 -n gone
hold delete-dry-run delete vm3 gone -N
hold delete delete vm3 gone
printf garbage >"$R/state.json"
hold list-long list --long
hold error recover vm1

is "every key was seen" \
    "$(LC_ALL=C sort -u "$T/seen" | LC_ALL=C comm -13 - "$T/keys")" ""

# --- does the check see anything? --------------------------------------------

limited "$FAKE" info vm1 s1 --json
broken() {      # what is wrong, what is said of it, the words of sed
    is "seen: $1" "$(sed "$3" "$T/out" |
        schema check $SCHEMAS/info.json 2>/dev/null)" "$2"
}
broken "a key is gone" "info: : has no 'parent'" '/"parent"/d'
broken "a key is new" "info: colour: is not in the schema" \
    's/^    "parent"/    "colour": 1, "parent"/'
broken "of another type" "info: current: is of type string, not boolean" \
    's/^    "current": [a-z]*/    "current": "yes"/'
broken "a number where a word was" "info: id: is of type integer, not string" \
    's/^    "id": "[^"]*"/    "id": 5/'
broken "another format" "info: format: is '2'" 's/^    "format": 1/    "format": 2/'
broken "of no such kind" "info: disks[].type: is 'odd'" \
    's/"type": "external"/"type": "odd"/'

finish
