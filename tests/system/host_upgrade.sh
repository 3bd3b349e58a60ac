#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# limit: 1800
# only: check-all
#
# The machine is upgraded from Debian 12 (Xen 4.17, QEMU 7.2) to Debian 13 (Xen
# 4.20, QEMU 10): snapshots that were taken before are gone back to afterwards,
# with memory and disks, for each type of guest.

# The checks are called by name:
# shellcheck disable=SC2317
set -u
cd "$(dirname "$(readlink -f "$0")")/../.." || exit 1
# shellcheck source=tests/lib/tap.sh
. tests/lib/tap.sh
name=upgrade-$$
types=(pv pvh hvm)
[ $# -eq 0 ] || types=("$@")
logs=${BUILD:-build}/test-logs/host_upgrade
tmp=$(mktemp -d)
rm -rf "$logs"
mkdir -p "$logs"
trap 'tools/lab/lab kill --name "$name" >/dev/null 2>&1; rm -rf "$tmp"' EXIT
trap 'exit 143' INT TERM HUP

check() { # WHAT COMMAND...
    local what=$1 status=0 from=$SECONDS
    shift
    if "$@" >"$tmp/out" 2>&1; then
        ok "$what ($((SECONDS - from)) s)"
    else
        not_ok "$what" "$(tail -n 60 "$tmp/out" | tr -d '\r')"
        status=1
    fi
    cp "$tmp/out" "$logs/${what//[^A-Za-z0-9]/_}.log"
    return $status
}

lab() {
    local command=$1
    shift
    tools/lab/lab "$command" --name "$name" "$@"
}

in_dom0() { # SECONDS UPGRADE-SH-ARGUMENT...
    local s=$1
    shift
    lab exec --timeout "$s" -- /root/system/scripts/upgrade.sh "$@"
}

power_on() { # RELEASE
    lab up --timeout 300 --release "$1" && lab install &&
        lab put tests/system /root/system
}

before() {
    power_on bookworm && in_dom0 1200 take "${types[@]}" &&
        lab get /root/carry.tar "$tmp/" && lab down
}

after() {
    power_on trixie && lab put "$tmp/carry.tar" /root/carry.tar
}

check "Xen 4.17: guests, and snapshots with their memory" before || finish
check "the same files, on Xen 4.20" after || finish
for type in "${types[@]}"; do
    check "Xen 4.20: $type: back to what 4.17 saved, one instant" \
        in_dom0 600 back "$type"
done
finish
