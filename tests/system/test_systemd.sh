#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# limit: 900
# takes: 310
# init: systemd
#
# Under a real systemd: commands in units that end, are stopped or killed, and
# in a timer; what they started lives on.  And our own unit for the boot.
# (test_unit.sh has the same without systemd, and all that is not about it.)

# shellcheck source=tests/system/crash.sh
. "$(dirname "$0")/crash.sh"

c=sd-clone
XL=$(command -v xl)

in_unit() { # [SYSTEMD-RUN-OPTION...] COMMAND... : as a service; its status
    echo "\$ systemd-run --wait $*"
    systemd-run --quiet --wait --collect --pipe "$@" </dev/null
}

group_of() { # PID
    sed -n 's/^0:://p' "/proc/$1/cgroup"
}

qemu_of() { # NAME
    xenstore-read "/local/domain/$(xl domid "$1")/image/device-model-pid"
}

# QEMU and the monitor are in one scope, systemd knows it, and would not end it
# before the guests are saved at shutdown.
lives_on() { # NAME
    local scope pid
    scope=$(group_of "$(qemu_of "$1")")
    has "$scope" '^/system\.slice/xl-snapshot-[0-9]+-[0-9a-f]+\.scope$'
    pid=$(monitor_of "$1") || fail "no monitor"
    eq "group of the monitor" "$scope" "$(group_of "$pid")"
    scope=${scope##*/}
    eq "$scope" active "$(systemctl show -P ActiveState "$scope")"
    hasnt "$(systemctl show -p Conflicts -p Before "$scope")" shutdown.target
    ticks_go_on "$1"
}

# No unit of ours that failed, or that is there for nothing.
tidy() {
    eq "failed units" "" "$(systemctl list-units --failed --plain --no-legend)"
}

begin() {
    eq "process 1" systemd "$(cat /proc/1/comm)"
    fresh $g pvh --disk xvda:qcow2:192M --disk xvdb:qcow2:192M
    ask $g fill 1 $MB >/dev/null
    in_unit "$XL" snapshot-create -n base-1 $g
    in_unit "$XL" snapshot-create -D -n disks-1 $g
    one_instant $g
    monitor_of $g >/dev/null || fail "no xl daemon watches $g"
    tidy
}

# until_in SECONDS WHAT COMMAND...
until_in() {
    local end=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        [ $SECONDS -lt $end ] || { fail "$what: not in time"; return 1; }
        nap 0.02
    done
}

suspended() { [[ $(state_of $g) == *s* ]]; }
in_window() { [[ $(journal) == *window* ]]; }
ended() { [ "$(systemctl is-active "$1")" != active ]; } # UNIT

# cut_off MOMENT HOW... -- [SYSTEMD-RUN-OPTION...] COMMAND... : the unit "cut" is
# ended so when MOMENT is true; the guest runs soon.
cut_off() {
    local moment=$1 from how=()
    shift
    while [ "$1" != -- ]; do how+=("$1"); shift; done
    shift
    systemctl reset-failed cut 2>/dev/null || true
    echo "\$ systemd-run --unit=cut $*"
    systemd-run --quiet --unit=cut "$@"
    until_in 60 "$moment" "$moment"
    from=$SECONDS
    echo "$moment: $(journal), ${how[*]}"
    "${how[@]}" cut
    until_in 30 "the unit's end" ended cut
    journalctl -o cat -u cut || true
    ticks_go_on $g
    echo "it runs after $((SECONDS - from)) s"
    [ $((SECONDS - from)) -le 15 ] || fail "it stood for $((SECONDS - from)) s"
    hasnt "$(journalctl -o cat -u cut)" 'cannot leave'
    systemctl reset-failed cut 2>/dev/null || true
}

# Recovered, whole, and nobody's files are left.
whole() {
    recovered
    one_instant $g
    data_is 1
    no_orphans
    monitor_of $g >/dev/null || fail "no xl daemon watches $g"
    tidy
}

killed() {
    cut_off suspended systemctl kill -s KILL -- "$XL" snapshot-create -n killed-1 $g
    whole
}

# Nobody but systemd may write to a control group: the guardian is in a scope.
killed_protected() {
    cut_off suspended systemctl kill -s KILL -- -p ProtectControlGroups=yes \
        "$XL" snapshot-create -n protected-1 $g
    whole
}

# SIGTERM to all in the unit, libxl's save helper too.
stopped_live() {
    cut_off in_window systemctl stop -- "$XL" snapshot-create --live -n stopped-1 $g
    whole
}

revert() { # SNAPSHOT [SYSTEMD-RUN-OPTION...]
    local boot
    boot=$(boot_of $g)
    in_unit "${@:2}" "$XL" snapshot-revert $g "$1"
    case $1 in disks-*) boots_anew $g "$boot" ;; esac
    one_instant $g
    data_is 1
    lives_on $g
    reboot_inside $g
    lives_on $g
    tidy
}

revert_protected() {
    in_unit -p ProtectControlGroups=yes "$XL" snapshot-revert $g base-1
    one_instant $g
    lives_on $g
    tidy
}

clone_by_timer() {
    local scope
    echo "\$ systemd-run --on-active=1 xl snapshot-clone $g base-1 $c"
    systemd-run --quiet --on-active=1 --timer-property=AccuracySec=100ms \
        --unit=later "$XL" snapshot-clone $g base-1 $c
    until_in 60 "the clone" xl domid $c >/dev/null 2>&1
    until_in 60 "the unit's end" ended later.service
    journalctl -o cat -u later.service || true
    lives_on $c
    scope=$(group_of "$(qemu_of $c)")
    [ "$scope" != "$(group_of "$(qemu_of $g)")" ] || fail "one scope for two"
    guest destroy $c
    rm "$(guest dir $g)/$c"-*
    # Nothing of it stays.
    until_in 20 "the end of $scope" ended "${scope##*/}"
    tidy
}

# systemd has its own socket for root, and D-Bus may be away.
no_dbus() {
    local status=0
    systemctl stop dbus.socket dbus.service
    systemd-run --quiet --unit=nobus "$XL" snapshot-revert $g base-1
    until_in 90 "the unit's end" ended nobus || status=1
    eq "result" success "$(systemctl show -P Result nobus)" || status=1
    systemctl start dbus.socket
    journalctl -o cat -u nobus || true
    [ $status = 0 ]
    one_instant $g
    group_of "$(qemu_of $g)"
    ticks_go_on $g
}

# All of a command is gone, the guest stands: our unit for the boot sees to it.
boot_unit() {
    local unit=xl-snapshot-recover.service pid
    systemctl daemon-reload
    systemctl enable --quiet $unit
    eq "enabled" enabled "$(systemctl is-enabled $unit)"
    systemd-analyze verify --man=no $unit 2>&1
    has "$(systemctl show -P After $unit)" '(^| )xen\.service'
    has "$(systemctl show -P Before $unit)" '(^| )xendomains\.service'
    systemd-run --quiet --unit=cut "$XL" snapshot-create -n boot-1 $g
    until_in 60 suspended suspended
    pid=$(pgrep -f '^xl-snapshot --guardian')
    kill -9 "$pid"
    systemctl kill -s KILL cut
    until_in 30 "the unit's end" ended cut
    systemctl reset-failed cut 2>/dev/null || true
    echo "the guest stands: $(journal)"
    run systemctl start $unit
    journalctl -o cat -u $unit
    eq "state" active "$(systemctl show -P ActiveState $unit)"
    ticks_go_on $g
    whole
}

power_off() {
    poweroff_inside $g
    images_clean $g
    tidy
}

t "systemd: a unit creates snapshots of a guest" begin
passed || { verdict; exit; }
t "systemd: killed while the guest stands" killed
rare "systemd: killed so, with ProtectControlGroups" killed_protected
rare "systemd: a live create is stopped in its window" stopped_live
t "systemd: a unit reverts with memory, the domain lives on" revert base-1
rare "systemd: a unit reverts to disks, the domain lives on" revert disks-1
t "systemd: the same with ProtectControlGroups" revert_protected
t "systemd: a timer clones, the clone lives on" clone_by_timer
t "systemd: D-Bus is away" no_dbus
t "systemd: the unit for the boot" boot_unit
t "systemd: the guest powers off, its images are clean" power_off
wipe $g $c
verdict
