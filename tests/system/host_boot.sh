#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# limit: 900
# only: check-all
#
# dom0 with systemd shuts down and boots: a domain that a unit reverted is saved
# with its disks in place, and is back afterwards; and after a power cut our unit
# has recovered before Xen's own starts the domain.

# The checks are called by name:
# shellcheck disable=SC2317
set -u
cd "$(dirname "$(readlink -f "$0")")/../.." || exit 1
# shellcheck source=tests/lib/tap.sh
. tests/lib/tap.sh
name=boot-$$
logs=${BUILD:-build}/test-logs/host_boot
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

in_dom0() { # SECONDS BOOT-SH-ARGUMENT...
    local s=$1
    shift
    echo "--- $*"
    lab exec --timeout "$s" -- /root/system/scripts/boot.sh "$@"
}

power_on() {
    lab up --disk "$tmp/disk.qcow2" --init systemd
}

setup() {
    power_on && lab install && lab put tests/system /root/system &&
        in_dom0 400 setup
}

# Until the machine is off.  Not "systemctl poweroff": logind is masked there.
shut_down() {
    local end=$((SECONDS + 240))
    in_dom0 200 reverted || return 1
    lab exec -- systemctl start --no-block poweroff.target || return 1
    while tools/lab/lab status | grep -q "^$name: running"; do
        [ "$SECONDS" -lt "$end" ] || { echo "it does not power off"; return 1; }
        sleep 0.5
    done
    power_on && in_dom0 300 restored
}

cut() {
    in_dom0 200 torn && lab kill && power_on && in_dom0 300 recovered
}

check "a lab with systemd, a guest, our unit for the boot" setup || finish
check "shutdown: a reverted guest is saved, and restored at boot" shut_down ||
    power_on 2>/dev/null
check "power cut in the window: recovered before the guest is started" cut
finish
