#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# What host_boot.sh does in dom0.

# shellcheck source=tests/system/lib.sh
. /root/system/lib.sh
set -eE
trap 'echo "failed: line $LINENO, $BASH_COMMAND"' ERR

g=boot
note=/root/boot-note # over the boots
XL=$(command -v xl)

# A guest that Xen's own service starts at boot, with a snapshot.
setup() {
    fresh $g pvh --disk xvda:qcow2:192M --disk xvdb:qcow2:192M
    mkdir -p /etc/xen/auto /var/lib/xen/save /var/log/journal
    ln -sf "$(guest cfg $g)" "/etc/xen/auto/$g.cfg"
    systemctl daemon-reload
    systemctl enable --quiet xl-snapshot-recover.service xendomains.service
    run xl snapshot-create -n base --type internal $g
    sync
}

reverted() {
    systemd-run --quiet --wait --collect --pipe "$XL" snapshot-revert $g base
    one_instant $g
    boot_of $g >$note
    tick_of $g >>$note
    sync
}

# The same memory goes on, later than it was.
restored() {
    local boot tick
    { read -r boot; read -r tick; } <$note
    journalctl -b -1 -o short-monotonic -u xendomains -u 'xl-snapshot-*' |
        tail -n 20 || true
    one_instant $g "boot=$boot"
    [ "$(tick_of $g)" -ge "$tick" ] || fail "it is of before the shutdown"
}

# Returns with the guest standing, and all on disk that would be.
torn() {
    local end=$((SECONDS + 60))
    boot_of $g >$note
    systemd-run --quiet --unit=torn "$XL" snapshot-create -n torn $g
    until has "$(state_of $g)" s >/dev/null; do
        [ $SECONDS -lt $end ] || fail "it was never suspended"
        nap 0.02
    done
    tail -n 1 "$(store_of $g)/journal"
}

recovered() {
    local unit=xl-snapshot-recover.service ours xens
    journalctl -b -o short-monotonic -u $unit -u xendomains
    eq "result" success "$(systemctl show -P Result $unit)"
    has "$(journalctl -b -o cat -u $unit)" 'torn.*(undone|kept|finished)'
    ours=$(systemctl show -P ActiveEnterTimestampMonotonic $unit)
    xens=$(systemctl show -P InactiveExitTimestampMonotonic xendomains.service)
    [ "$ours" -gt 0 ] || fail "it did not run"
    [ "$ours" -le "$xens" ] || fail "xendomains began at $xens, before $ours"
    guest ready $g
    one_instant $g
    [ "$(boot_of $g)" != "$(cat $note)" ] || fail "that is the old boot"
    eq "recover" "nothing to recover" "$(xl snapshot-recover $g)"
}

"$@"
