#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# limit: 900
# takes: 300
#
# Others at work on the domain while its snapshot is taken, and a user who
# changes his mind: nothing is torn, and no guest stops later.
#
# libxl starts its save helper by LIBXL_SAVE_HELPER: a script of ours goes
# first there, so that something happens after the plan, and before the guest
# is asked to suspend.
#
#   test_others.sh [PATTERN]      of the tests' names

# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

only=${1:-.}
g=others
m=moves
HELPER=$(find /usr/lib/xen-*/bin /usr/libexec/xen -name libxl-save-helper \
    2>/dev/null | head -n 1)

# The next snapshot command's save helper does this first.
helper_does() { # SHELL-TEXT
    cat >"$WORK/helper" <<END
#!/bin/bash
unset LIBXL_SAVE_HELPER
$1
exec $HELPER "\$@"
END
    chmod +x "$WORK/helper"
}

# beside OPTION... : a snapshot, with what helper_does() was told.  STATUS and
# SAID are set.
beside() {
    STATUS=0
    echo "\$ xl snapshot-create $* $g"
    LIBXL_SAVE_HELPER=$WORK/helper xl snapshot-create "$@" $g \
        >"$WORK/said" 2>&1 || STATUS=$?
    SAID=$(cat "$WORK/said")
    echo "status $STATUS: $SAID"
}

until_there() { # SECONDS COMMAND...
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || { echo "waited in vain: $*"; return 1; }
        nap 0.05
    done
}

ended() { # PID
    [ ! -d "/proc/$1" ]
}

request_is() { # VALUE
    [ "$(xenstore-read "/local/domain/$DOMID/control/shutdown")" = "$1" ]
}

# It runs on, with nothing of ours left, and does not stop later.  watched: by
# its daemon as well, which before Xen 4.20 takes xl's own saves for the end.
undisturbed() { # [watched]
    ticks_go_on $g && nap 3 && ticks_go_on $g || return 1
    hasnt "$(state_of $g)" 's'
    [ -z "${1:-}" ] || monitor_of $g >/dev/null || fail "the daemon is gone"
    hasnt "$(xenstore-ls "/libxl/$DOMID")" 'xl-snapshot'
    hasnt "$(find "$(store_of $g)" -type f)" 'journal'
}

# A snapshot that says it was taken is whole, and one that was not is not there.
whole_or_nothing() { # SNAPSHOT
    if [ "$STATUS" = 0 ]; then
        run xl snapshot-info --check $g "$1"
        return
    fi
    eq "status" 1 "$STATUS"
    [ ! -e "$(store_of $g)/records/$1.json" ] || fail "there is a record $1"
}

# The guest cannot answer, for it is paused; then the whole group of the
# command is told to stop, as a terminal does it.
asked_to_stop() { # SIGNAL
    local pid status=0
    helper_does "xl pause $g"
    set -m
    LIBXL_SAVE_HELPER=$WORK/helper xl snapshot-create -n stop-"$1" $g \
        >"$WORK/said" 2>&1 &
    pid=$!
    set +m
    until_there 60 request_is suspend
    kill -"$1" -- -$pid
    wait $pid || status=$?
    cat "$WORK/said"
    eq "status" 1 "$status"
    has "$(cat "$WORK/said")" 'interrupted'
    request_is '' || fail "the guest is still asked to suspend"
    run xl unpause $g
    undisturbed watched
}

lock_held() {
    local before fd
    exec {fd}>>"/var/lib/xen/userdata-l.$DOMID.$(uuid_of $g).domain-userdata-lock"
    flock -x "$fd"
    before=$(tick_of $g)
    refused 1 'domain-userdata-lock' xl snapshot-create -n locked $g
    # It took ten seconds, and the guest ran.
    [ $(($(tick_of $g) - before)) -ge 5 ] || fail "the guest stood"
    exec {fd}>&-
    undisturbed watched
}

# Changes of the domain that others make meanwhile are not lost.  They wait
# until the guest goes on.
attached_beside() {
    local mem
    mem=$(($(xl list $g | awk 'NR == 2 { print $3 }') - 10))
    qemu-img create -q -f raw "$(guest dir $g)/c.img" 8M
    helper_does "xl mem-set $g $mem >$WORK/mem 2>&1 &
xl block-attach $g 'format=raw,vdev=xvdc,backendtype=qdisk,target=$(guest dir $g)/c.img' >$WORK/attach 2>&1 &
sleep 2"
    beside -n attach --type external
    until_there 60 eval '! pgrep -f "^[^ ]*xl[^ ]* (mem-set|block-attach)" >/dev/null'
    cat "$WORK/mem" "$WORK/attach"
    eq "status" 0 "$STATUS"
    has "$(images_of $g)" 'c\.img'
    has "$(images_of $g)" 'attach'
    eq "target" $((mem * 1024)) \
        "$(xl list -l $g | jq '.[].config.b_info.target_memkb')"
    undisturbed watched
    whole_or_nothing attach
}

# And the same disk goes again.
detached_beside() {
    helper_does "xl block-detach $g xvdc >$WORK/detach 2>&1 &
sleep 2"
    beside -n detach --type external
    until_there 60 eval '! pgrep -f "^[^ ]*xl[^ ]* block-detach" >/dev/null'
    cat "$WORK/detach"
    hasnt "$(images_of $g)" '/c\.'
    undisturbed watched
    whole_or_nothing detach
}

save_helper() { # pid of the one of $DOMID, if there is one
    pgrep -f "^[^ ]*libxl-save-helper --save-domain [0-9]+ [-0-9]+ $DOMID "
}

# Another save that began before us.
saved_by_xl() {
    local helper pid
    xl save -c $g "$WORK/other.save" >"$WORK/save" 2>&1 &
    pid=$!
    until_there 30 save_helper
    helper=$(save_helper)
    kill -STOP "$helper"
    refused 1 'saved or migrated|not running|suspended' \
        xl snapshot-create -n mid $g
    kill -CONT "$helper"
    wait $pid || { cat "$WORK/save"; return 1; }
    undisturbed
}

# What xl does begins with ours: both have the guest stop.  Theirs has its locks
# behind it when we look who else is at work, and its save helper begins as ours
# does.
begins_beside() { # COMMAND...
    rm -f "$WORK/ready" "$WORK/go"
    cat >"$WORK/theirs" <<END
#!/bin/bash
unset LIBXL_SAVE_HELPER
if [ "\$1" = --save-domain ]; then
    : >$WORK/ready
    until [ -e $WORK/go ]; do sleep 0.1; done
fi
exec $HELPER "\$@"
END
    chmod +x "$WORK/theirs"
    helper_does ": >$WORK/go
for ((i = 0; i < 60; i++)); do
    pgrep -f '^[^ ]*libxl-save-helper --save-domain' >/dev/null && break
done"
    LIBXL_SAVE_HELPER=$WORK/theirs "$@" >"$WORK/save" 2>&1 &
    OTHER=$!
    until_there 60 test -e "$WORK/ready"
}

# Theirs comes through, and ours says why it did not.  Neither let the guest go
# on under the other.
gave_way() { # SNAPSHOT
    : >"$WORK/go" # if ours did not come so far
    wait "$OTHER" || { cat "$WORK/save"; return 1; }
    cat "$WORK/save"
    has "$SAID" 'saved or migrated|being migrated'
    eq "status" 1 "$STATUS"
    whole_or_nothing "$1"
}

saved_with_xl() {
    begins_beside xl save -c $g "$WORK/other.save"
    beside -n both
    gave_way both
    one_instant $g
    undisturbed
}

# xenconsoled writes on under the name that it had when it came.
lines_of_incoming() {
    grep -c . "/var/log/xen/console/guest-$m--incoming.log"
}

more_lines_than() { # NUMBER
    [ "$(lines_of_incoming)" -gt "$1" ]
}

# Its disks are raw: a second QEMU opens them while the first one has them.
migrating() {
    local lines
    fresh $m pvh --disk xvda:raw:192M --disk xvdb:raw:192M
    g=$m DOMID=$(xl domid $m)
    begins_beside xl migrate -s '' $m 'xl migrate-receive'
    beside -n moved
    gave_way moved
    eq "domains" 1 "$(xl list | grep -c "^$m")"
    [ "$(xl domid $m)" != "$DOMID" ] || fail "it did not move"
    hasnt "$(find "$(store_of $m)" -type f)" 'journal'
    # It ticks where it is now, and does not stop.
    nap 3
    lines=$(lines_of_incoming)
    until_there 30 more_lines_than "$lines"
    hasnt "$(state_of $m)" '[ps]'
}

no_domain() {
    ! xl domid $g >/dev/null 2>&1
}

# xl's daemon destroys the domain, sleeps two seconds, and builds it anew.  What
# is done to its images as to those of one that is off would keep it from them.
deleted_in_a_reboot() {
    local boot
    run xl snapshot-create -D -n again --type external $g
    ask $g fill 3 2 >/dev/null
    boot=$(boot_of $g)
    ask $g reboot >/dev/null
    until_there 60 no_domain
    xl snapshot-delete $g again 2>"$WORK/said" ||
        { cat "$WORK/said"; return 1; }
    cat "$WORK/said"
    has "$(cat "$WORK/said")" 'reboots; waiting'
    boots_anew $g "$boot"
    one_instant $g
    eq "data" "$(expected_sums $g 3 2)" "$(sums_of $g)"
    [ ! -e "$(guest dir $g)/xvdb.raw" ] || fail "the frozen image is there"
}

# Stop the monitor that this command starts, before it has begun to watch; sets
# $MONITOR.  Without a process: those cost too much here to be in time.
stop_monitor_of() { # PID
    local kids words
    while { read -r kids <"/proc/$1/task/$1/children"; } 2>/dev/null ||
        kill -0 "$1" 2>/dev/null; do
        for MONITOR in $kids; do
            { mapfile -d "" words <"/proc/$MONITOR/cmdline"; } 2>/dev/null ||
                continue
            [ "${words[1]:-}" = --monitor ] || continue
            kill -STOP "$MONITOR"
            return 0
        done
    done
    echo "no monitor was seen"
    return 1
}

# The domain is let run by its user while its monitor does not get on, and then
# dies: the command fails, and the guest goes on.
let_run_before_it_is_watched() {
    local new=born status=0 command
    wipe $new
    run xl snapshot-create -D -n b1 --type external $g
    xl snapshot-clone $g b1 $new >"$WORK/said" 2>&1 &
    command=$!
    stop_monitor_of $command
    run xl unpause $new
    until_there 60 eval 'ask born status >/dev/null'
    kill -KILL "$MONITOR"
    wait $command || status=$?
    cat "$WORK/said"
    eq status 3 $status
    has "$(cat "$WORK/said")" 'has let domain [0-9]+ run'
    one_instant $new
    ticks_go_on $new
}

# As the host's own service does when the host goes down.
saved_by_the_host() {
    local file=/var/lib/xen/save/$g
    run mkdir -p /var/lib/xen/save
    run xl snapshot-create -D -n kept --type external $g
    run xl save $g "$file"
    refused 1 "saved in $file.*xl restore $file" xl snapshot-create -D -n no $g
    refused 1 "saved in $file" xl snapshot-revert $g kept
    refused 1 "saved in $file" xl snapshot-delete $g kept
    run xl restore "$file"
    ticks_go_on $g
    one_instant $g
    # A copy that stays, as xl save -c leaves one, is no hindrance then.
    run xl snapshot-delete $g kept
    rm "$file"
}

other() { # NAME COMMAND...
    [[ $1 =~ $only ]] || return 0
    t "others: $1" "${@:2}"
}

fresh $g pvh >"$WORK/fresh" 2>&1 || { cat "$WORK/fresh"; echo "not ok 1 - a guest"; exit 1; }
DOMID=$(xl domid $g)
other "a snapshot is deleted while its guest reboots" deleted_in_a_reboot
DOMID=$(xl domid $g)
other "Ctrl-C while the guest is asked to suspend" asked_to_stop INT
other "the terminal goes while the guest is asked to suspend" asked_to_stop HUP
other "a new domain that its user lets run before it is watched" \
    let_run_before_it_is_watched
other "a lock of libxl is held" lock_held
other "block-attach and mem-set beside create" attached_beside
other "block-detach beside create" detached_beside
other "xl save -c is under way" saved_by_xl
other "xl save -c begins beside create" saved_with_xl
other "the host has saved the domain" saved_by_the_host
wipe $g
other "xl migrate begins beside create" migrating
wipe $m
verdict
