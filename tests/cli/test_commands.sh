#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# What the commands print when they work and when they fail, over the fakes.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
. tests/cli/fake.sh

# --- create and revert, for people ------------------------------------------

new_world
into session.txt
as_xl -N snapshot-create vm1 -n s1
is "a dry run makes nothing" "$(find "$XLFAKE_STORE" -type f)" ""
as_xl snapshot-create vm1 -n s1 --description 'before the upgrade'
as_xl snapshot-create vm1 -n s1
as_xl -N snapshot-revert vm1 s1
as_xl snapshot-revert vm1 s1
as_xl snapshot-create vm1 --name s2 --disk-only --type external
as_xl -N snapshot-create vm1 -n s3 --no-disk xvdb --keep-path
as_xl snapshot-create vm1 -n s3 --paused --disk xvda,target=/img/own.qcow2
as_xl snapshot-revert vm1 s1
as_xl snapshot-revert vm1 s2 --paused
as_xl snapshot-revert vm1 nothing
as_xl snapshot-create vm2
as_xl snapshot-create vm2 -D -n cold
as_xl snapshot-create nobody
as_xl snapshot-create vm3 -n s1 --live
golden session.txt "$T/session.txt"

# --- what the user should know about his images -------------------------------

new_world
into images.txt
as_xl snapshot-create vm1 -n kept --keep-path --disk xvda,type=internal \
    --no-disk xvdb -D
as_xl snapshot-create vm1 -n over -D --type external --no-disk xvdb
as_xl snapshot-create vm1 -n more -D --type external --no-disk xvdb
as_xl snapshot-delete vm1 over
as_xl snapshot-delete vm1 kept
golden images.txt "$T/images.txt"

# --- a domain that does not run ---------------------------------------------

new_world
xl_cfg() {      # disks of vm4
    printf 'name="vm4"\nuuid="%s"\nmemory=64\ndisk=[ "%s",\n"%s" ]\n' \
        11111111-2222-4333-8444-555555555504 \
        "format=qcow2,vdev=xvda,target=$1" \
        "format=$2,vdev=xvdb,target=$3" >"$T/vm4.cfg"
}
xl_cfg /img/e.qcow2 raw /img/f.raw
export XLFAKE_OFF=1
into offline.txt
as_xl snapshot-create vm4
as_xl snapshot-create vm4 --domain-config "$T/vm4.cfg" --memory /m.save
as_xl snapshot-create vm4 --domain-config "$T/vm4.cfg" --live
as_xl snapshot-create vm4 --domain-config "$T/vm4.cfg" --paused
as_xl snapshot-create vm5 --domain-config "$T/vm4.cfg"
as_xl snapshot-create vm1 --domain-config "$T/vm4.cfg"
as_xl snapshot-create vm4 --domain-config "$T/none.cfg"
as_xl snapshot-create vm4 --domain-config ''
is "what is refused leaves no folder" "$(echo "$XLFAKE_STORE"/*04)" \
    "$XLFAKE_STORE/*04"
as_xl -N snapshot-create vm4 -n s1 --domain-config "$T/vm4.cfg"
is "a dry run makes nothing" "$(find "$XLFAKE_STORE" -name '*.json')" ""
as_xl snapshot-create vm4 -n s1 --domain-config "$T/vm4.cfg" --type external
as_xl snapshot-create vm4 -n s2 --domain-config "$T/vm4.cfg"
xl_cfg /img/e.s1.qcow2 qcow2 /img/f.s1.qcow2
as_xl snapshot-create vm4 -n s2 --domain-config "$T/vm4.cfg" --keep-path
as_xl snapshot-create vm4 -n s3
as_xl snapshot-create vm4 -n s4 --json
as_xl snapshot-create vm4 -n s5 --json -N
as_xl snapshot-list vm4
as_xl snapshot-info vm4 s1 --check
as_xl snapshot-delete vm4 s3
as_xl snapshot-revert vm4 s1
as_xl snapshot-create vm4 -n s5 --domain-config "$T/vm4.cfg"
golden offline.txt "$T/offline.txt"
unset XLFAKE_OFF

# --- delete -----------------------------------------------------------------

new_world
into delete.txt
xs delete vm1 s1
xs create vm1 -n s1 --type external -D
xs delete vm1 s1 -N
xs delete vm1 s1
is "the only one: no record is left" "$(find "$XLFAKE_STORE" -name '*.json' \
    -path '*/records/*')" ""
for n in s1 s2 s3; do "$FAKE" create vm1 -n $n -D --type external; done \
    >/dev/null 2>&1
xs delete vm1 s2
xs delete vm1 s1 --children -N
xs delete vm1 s3 --children-only
xs delete vm1 s1 --children --json
xs create vm1 -n s4
xs delete vm1 s4 --json --dry-run
xs delete vm1 s4
is "its memory image is gone" "$(find "$XLFAKE_STORE" -name '*.save')" ""
xs delete
xs delete vm1
xs delete vm1 a b
xs delete vm1 a --children --children-only
xs delete vm1 ../a
xs delete nobody s1
golden delete.txt "$T/delete.txt"

# --- clone ------------------------------------------------------------------

new_world
into clone.txt
xs create vm1 -n s1
xs clone vm1 s1 web1 -N
is "a dry run of a clone makes no folder" \
    "$(find "$XLFAKE_STORE" -mindepth 1 -maxdepth 1 -type d | wc -l)" 1
xs clone vm1 s1 web1
xs clone vm1 s1 web2 --disk-only --paused
xs clone vm1 s1 web3 --no-start --json
xs clone vm1 s1 web1
xs clone vm1 s1 web3
xs clone vm1 s1 vm2
xs clone vm1 s1 12
xs clone vm1 nothing web4
xs clone nobody s1 web4
xs clone vm1 s1 web4 --dir "$T/nothing"
xs clone vm1 s1 web4 --no-start --paused
xs clone vm1 s1
xs clone vm1 s1 a b
xs clone vm1 s1 ../a
xs info vm1 s1
xs delete vm1 s1
xs create web1 -n own -D --type external
xs delete web1 own
xs create web1 -n own -D --type external
xs clone web1 own web4 --dir "$T"
xs delete web1 own
xs list --long --json
golden clone.txt "$T/clone.txt"

# --- a CD that is gone, memory that is not wanted ----------------------------

new_world
into media.txt
"$FAKE" create vm1 -n s1 >/dev/null 2>&1
xs revert vm1 s1 --disk-only -N
xs revert vm1 s1 --eject-missing -N
rm "${XLFAKE_ISO:?}"
xs info vm1 s1 --check
xs revert vm1 s1
xs clone vm1 s1 web1
xs revert vm1 s1 --eject-missing
xs clone vm1 s1 web1 --eject-missing
is "the domain is the one it was" "$("$FAKE" revert vm1 s1 -N -D \
    --eject-missing --json | grep -o '"domid": [0-9]*')" '"domid": 1'
xs clone vm1 s1 web1 --eject-missing -D
xs revert vm1 s1 --eject-missing -D
xs revert vm1 s1 -D
xs revert vm1 s1 -D --eject-missing --json
: >"$XLFAKE_ISO"
"$FAKE" create vm1 -n m --no-disk xvda --no-disk xvdb >/dev/null 2>&1
xs revert vm1 m -D
golden media.txt "$T/media.txt"

# A clone gets nothing of its snapshot's domain that it could write to.
new_world
"$FAKE" create vm1 -n part --no-disk xvdb >/dev/null 2>&1
"$FAKE" create vm1 -n disks --no-disk xvdb -D >/dev/null 2>&1
run "$FAKE" clone vm1 part web
has "a writable disk that is not in it: refused from memory" "$err" \
    "use --disk-only"
run "$FAKE" clone vm1 disks web --json
has "and left out from disks" "$out" '"xvdb"'
is "which works" "$status" 0

# --- configuration files ----------------------------------------------------

new_world
mkdir "$T/cfg"
cat >"$T/cfg/v5.cfg" <<END
name = "five"
memory = "$T/five.save"
disk = [ "vdev=xvda", "format=qcow2,vdev=xvdb,target=/img/b5.qcow2" ]
END
cat >"$T/cfg/v9.cfg" <<'END'
name = "nine"   # by position
memory = "no"
disks = [ ',,xvda',
          '/img/b9.qcow2,qcow2,xvdb' ]
END
printf 'name = "x"\nmemroy = "no"\n' >"$T/cfg/typo.cfg"
printf 'name = "x"\ndisks = [ "xvda"\n' >"$T/cfg/open.cfg"
printf 'name = "x"\ntype = "internal"\nlive = 1\nmemory = "no"\n' \
    >"$T/cfg/conflict.cfg"
into config.txt
xs create vm1 "$T/cfg/v5.cfg"
xs create "$T/cfg/v9.cfg" vm1
xs create vm1 "$T/cfg/v9.cfg" --name ten
xs create vm1 "$T/cfg/typo.cfg"
xs create vm1 "$T/cfg/open.cfg"
xs create vm1 "$T/cfg/conflict.cfg"
xs create vm1 "$T/cfg/missing.cfg"
cd "$T/cfg" || exit 1
xs create v9.cfg vm1
cd "$TOP" || exit 1
xs create vm1 "$T/cfg"
# The file that create was given is enough to go back, with nothing stored.
xs -N revert vm1 --config "$T/cfg/v5.cfg"
xs revert vm1 --config "$T/cfg/v5.cfg"
golden config.txt "$T/config.txt"

# --- without metadata -------------------------------------------------------

new_world
into output.txt
xs create vm3 -n s1 --memory "$T/m.save" --no-metadata --output "$T/s1.cfg"
is "nothing is registered" "$(find "$XLFAKE_STORE" -name '*.json' \
    -path '*/records/*')" ""
xs create vm3 -n s1 --memory "$T/m2.save" --no-metadata --output "$T/s1.cfg"
xs create vm3 "$T/s1.cfg"
xs -N revert vm3 --config "$T/s1.cfg"
xs revert vm3 --config "$T/s1.cfg"
xs revert vm3 --config "$T/none.cfg"
golden output.txt "$T/output.txt"
# A recovery looks for it from anywhere.
new_world
program=$(readlink -f "$FAKE")
is "a file of --output has its folder's name" "$(cd "$T" &&
    limited "$program" create vm3 -D -n s1 --no-metadata --output here.cfg --json &&
    jq -r .output <<<"$out")" "$T/here.cfg"

# --- for programs -----------------------------------------------------------

new_world
into json.txt
xs create vm1 -n s1 --dry-run --json
xs create vm1 -n s1 --json
xs create vm1 -n s1 --json
xs revert vm1 s1 -N --json
xs revert vm1 s1 --json
xs revert vm1 s1 --json --paused
xs create vm1 --frob --json
golden json.txt "$T/json.txt"

one_object() {
    new_world
    local bad=
    for args in "create vm1 -n a" "create vm1 -n a -N" "create vm1 -n a" \
        "create vm2" "clone vm1 a n -N" "clone vm1 a n" "clone vm1 a n" "revert vm1 a" "revert vm1 b" "create" "revert vm1 a -N"
    do
        # shellcheck disable=SC2086
        "$FAKE" $args --json 2>/dev/null |
            perl -MJSON::PP -e 'local $/; decode_json(<STDIN>)' || bad+="$args;"
    done
    echo "$bad"
}
if perl -MJSON::PP -e 1 2>/dev/null; then
    is "--json: always exactly one object" "$(one_object 2>&1)" ""
else
    skip "--json" "perl's JSON::PP is not installed"
fi

# --- failures, and being asked to stop --------------------------------------

into failures.txt
fail_at() {     # LAYER WHAT ACTION, arguments
    local at=$1
    shift
    export XLFAKE_AT=$at
    xs "$@"
    unset XLFAKE_AT
}
new_world
fail_at "hyp open EIO" create vm1 -n s1
fail_at "hyp find EIO" create vm1 -n s1
fail_at "hyp save EIO" create vm1 -n s1
fail_at "disk take EIO" create vm1 -n s1
is "after a failure there is nothing" "$(find "$XLFAKE_STORE" -type f \
    ! -name lock ! -name state.json)" ""
fail_at "disk prepare INT" create vm1 -n s1
fail_at "disk prepare INT2" create vm1 -n s1
fail_at "hyp set_active INT" create vm1 -n s1
fail_at "file rename ENOSPC" create vm1 -n left
xs recover -N
xs recover vm1
xs recover
xs create vm1 -n left
fail_at "hyp save TSTP" create vm1 -n s2
fail_at "hyp save PIPE" create vm1 -n s3
fail_at "disk revert_prepare INT" revert vm1 s3
fail_at "hyp restore EIO" revert vm1 s3
xs revert vm1 s3
fail_at "hyp restore KILL" revert vm1 s3
xs revert vm1 s3
xs create vm1 -n s4 -D --type external
xs create vm1 -n s5 -D --type external
fail_at "disk pull INT" delete vm1 s4
fail_at "disk pull EIO" delete vm1 s4
fail_at "disk remove EIO" delete vm1 s4
xs recover vm1
fail_at "disk merge_switch KILL" delete vm1 s5
xs recover vm1 --json
golden failures.txt "$T/failures.txt"

# --- what is so although not all was done: which line of xl.cfg to change ------

new_world
into left.txt
xs create vm1 -n s1 -D --type external
fail_at "disk revert_finish EIO" revert vm1 s1
xs recover vm1
fail_at "hyp create EIO" revert vm1 s1
fail_at "disk merge_finish EIO" delete vm1 s1
xs recover vm1
xs create vm1 -n s2 -D --type external
fail_at "disk merge EIO" delete vm1 s2
xs recover vm1
golden left.txt "$T/left.txt"

# --- a revert that died, and a domain that was started meanwhile --------------

somebody() {    # what he does, arguments of the command after that
    local do=$1
    shift
    export XLFAKE_DO=$do
    xs "$@"
    unset XLFAKE_DO
}
into recover.txt
killed() {      # in a revert, and its domain was started by hand
    new_world
    "$FAKE" create vm3 -n s1 >/dev/null 2>&1
    fail_at "hyp restore KILL" revert vm3 s1
    somebody start recover vm3
}
killed
xs recover vm3 --keep -N
xs recover vm3 --keep
xs recover vm3
xs create vm3 -n s2 -D
killed
xs recover vm3 --discard
somebody stop recover vm3 --discard
xs recover vm3
xs create vm3 -n s2 -D
xs recover --keep
xs recover --keep --discard vm3
xs recover --take-over
golden recover.txt "$T/recover.txt"

# --- all domains: the first and the last are damaged, vm3's waits for its user ---

troubles() {    # and vm2's can be recovered
    local store=$XLFAKE_STORE/11111111-2222-4333-8444-5555555555
    new_world
    "$FAKE" create vm1 -n s1 >/dev/null 2>&1
    "$FAKE" create vm3 -n s1 >/dev/null 2>&1
    XLFAKE_AT="disk take KILL" limited "$FAKE" create vm2 -n s1 -D
    XLFAKE_AT="hyp restore KILL" limited "$FAKE" revert vm3 s1
    echo garbage >"${store}01/state.json"
    mkdir "${store}09"
    echo garbage >"${store}09/state.json"
}
into recover-all.txt
troubles
somebody start recover
is "exit 3: what needs its user beats what is damaged" "$status" 3
has "what was recovered for another is said" "$out" "555502  unfinished"
is "a line for each domain that failed" \
    "$(grep -o 'recover: [0-9]*-2222-4333-8444-[0-9]*:' <<<"$err" | sort)" \
    "recover: 11111111-2222-4333-8444-555555555501:
recover: 11111111-2222-4333-8444-555555555503:
recover: 11111111-2222-4333-8444-555555555509:"
troubles
somebody start recover --json
golden recover-all.txt "$T/recover-all.txt"

# --- another name ---------------------------------------------------------------

new_world
into renamed.txt
xs create vm3 -n s1
somebody rename revert web s1 -N
xs list web
xs revert web s1
xs info vm3 s1
golden renamed.txt "$T/renamed.txt"

new_world
XLFAKE_AT="hyp find INT" limited "$FAKE" create vm3 -n s1
is "Ctrl-C before anything has begun ends the program" "$status" 1
has "and it is said" "$err" "interrupted; nothing was changed"

# --- where output goes ------------------------------------------------------

new_world
run bash -c '"$0" create vm3 -n s1 >/dev/full' "$FAKE"
is "standard output is full: the snapshot is made" "$status" 0
has "and it is said" "$err" "warning: cannot write standard output"
run bash -c '"$0" create vm3 -n s2 2>&-' "$FAKE"
is "no standard error: the snapshot is made" "$status" 0
run "$FAKE" -v create vm3 -n s3
has "-v says the steps" "$err" "xl-snapshot create: debug: "
run "$FAKE" -T create vm3 -n s4
if grep -qE '^20[0-9-]{8} [0-9:]{8} [A-Z]+ \[[0-9]+\] xl-snapshot create: note' \
    <<<"$err"; then
    ok "-T stamps messages"
else
    not_ok "-T stamps messages" "$err"
fi
run "$FAKE" create vm3 -n s5
is "no progress line without a terminal" "$(tr -cd '\r' <"$T/err")" ""

finish
