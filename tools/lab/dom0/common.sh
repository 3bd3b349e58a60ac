# SPDX-License-Identifier: LGPL-2.1-only
# shellcheck shell=bash
#
# What both ways to bring dom0 up share: init, and init-systemd with agent-unit.
# They, and this, run from the shared folder.

export PATH=/lab/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root LANG=C.UTF-8 LC_ALL=C.UTF-8 TERM=linux

# shellcheck disable=SC2034 # of those who source this
MODULES=(xen-evtchn xen-gntdev xen-gntalloc xen-privcmd xen-blkback
    xenfs dm-snapshot dm-thin-pool loop virtio_console virtio_rng)

fail() {
    echo "lab: dom0 did not come up: $*"
    echo "$*" >/lab/failed
    sync
    echo o >/proc/sysrq-trigger
    sleep 60
}

quiet_kernel() {
    echo 1 >/proc/sys/kernel/sysrq
    echo 0 >/proc/sys/kernel/printk_devkmsg 2>/dev/null
    dmesg -n 4
}

own_run() {
    mountpoint -q /run || mount -t tmpfs tmpfs /run
    mount -o remount,mode=755,size=50% /run
}

# The last step, with Xen's daemons there.  Does not return.
become_agent() {
    local port
    mkdir -p /root/lab-logs /root/guest
    cp -f /lab/boot/vmlinu[xz] /lab/boot/guest-initrd /root/guest/ 2>/dev/null
    mv -f /root/guest/guest-initrd /root/guest/initrd 2>/dev/null

    # A root disk that is kept holds what the project's own setup needs to redo.
    [ -x /etc/lab.d/boot ] && /etc/lab.d/boot

    for port in /dev/vport*; do :; done
    [ -e "$port" ] || fail "no virtio serial port"
    cd /root || fail "/root"
    # Not from the share, which it can let go of.
    cp -f /lab/boot/lab-agent /sbin/lab-agent || fail "lab-agent"
    echo "lab: dom0 is up"
    exec /sbin/lab-agent "$port"
}
