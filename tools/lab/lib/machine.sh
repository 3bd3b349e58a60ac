# SPDX-License-Identifier: LGPL-2.1-only
# shellcheck shell=bash
#
# The machine: starting QEMU, ending it, and saying what became of it.
#
# The processor model and the devices are those that were seen to be stable
# under software emulation; README.md says what goes wrong with others.

# invtsc, because Xen would trap and emulate each look at the clock of a guest
# without it: that took a third of the time.  QEMU 7.2 keeps such a counter, but
# does not say so when it emulates; it has to be told to.  misalignsse is the one
# other feature of this model that it does not emulate.
LAB_CPU=Opteron_G3,+svm,+npt,-rdtscp,-misalignsse,+invtsc,x-force-features=on

# What guards a real processor against its own guesses costs an emulated one, which
# guesses nothing.  Nor has anybody to clear memory twice, to test ciphers at each
# boot, or to look for pages that can be written and run.
LAB_XEN_ARGS="spec-ctrl=no bootscrub=0"
LAB_LINUX_ARGS="mitigations=off init_on_alloc=0 cryptomgr.notests rodata=off"

# Sets $LAB_RUN up for a machine: the share that dom0 sees, and what "lab exec"
# needs.  $LAB_INIT is who becomes process 1 of dom0.
machine_folder() {
    local share=$LAB_RUN/share init=$LAB_TOP/dom0/init
    [ "$LAB_INIT" = lab ] || init+=-$LAB_INIT
    rm -rf "$LAB_RUN"
    mkdir -p "$share"/{boot,bin,exec,io} || exit 1
    # For what is installed later.
    echo "$LAB_RELEASE $(cat "$LAB_IMAGE/xen-version")" >"$LAB_RUN/release" || exit 1
    cp "$init" "$share/boot/init" &&
        cp "$LAB_TOP"/dom0/{common.sh,agent-unit} "$LAB_PARTS/lab-agent" \
        "$LAB_PARTS/guest-ask" \
        "$LAB_PARTS/guest-initrd" "$LAB_IMAGE/vmlinuz" \
        "$LAB_PARTS/vmlinux" "$share/boot/" &&
        cp "$LAB_TOP"/dom0/bin/* "$share/bin/" || exit 1
    # What "lab exec" needs later must not vanish with a newer build.
    cp "$LAB_PARTS/labx" "$LAB_PARTS/labdisk" "$LAB_RUN/" || exit 1
    mkfifo "$LAB_RUN/agent.in" "$LAB_RUN/agent.out" || exit 1
}

# Starts QEMU; sets $LAB_QEMU.
machine_start() { # DRIVE MEM END-IN-SECONDS [QEMU-OPTION...]
    local drive=$1 mem=$2 end=$3
    shift 3
    # One processor: with two, PVH and HVM guests die of triple faults now
    # and then (the state of Xen itself turns up in the guest).
    local accel=tcg cpu=$LAB_CPU cpus=${LAB_CPUS:-1}
    if [ "${LAB_ACCEL:-tcg}" = kvm ]; then
        accel=kvm cpu=host
    fi
    local virtio=iommu_platform=on,disable-legacy=on
    # shellcheck disable=SC2054 # the commas are QEMU's
    local args=(
        -name "lab-$LAB_NAME" -machine q35 -accel "$accel" -cpu "$cpu"
        -smp "$cpus" -m "$mem" -nodefaults -no-reboot -display none
        -kernel "$LAB_IMAGE/xen"
        -append "console=com1 com1=115200,8n1 dom0_mem=1536M,max:1536M dom0_max_vcpus=$cpus loglvl=warning guest_loglvl=warning $LAB_XEN_ARGS"
        -initrd "$LAB_PARTS/vmlinux console=hvc0 root=/dev/vda rw init=/sbin/lab-init quiet $LAB_LINUX_ARGS,$LAB_IMAGE/initrd"
        -chardev "socket,id=con,path=$LAB_RUN/console,server=on,wait=off,logfile=$LAB_RUN/serial.log"
        -serial chardev:con
        -drive "$drive,if=none,id=root"
        -device "virtio-blk-pci,drive=root,$virtio"
        -fsdev "local,id=lab,path=$LAB_RUN/share,security_model=none,multidevs=remap"
        -device "virtio-9p-pci,fsdev=lab,mount_tag=lab,$virtio"
        -device "virtio-serial-pci,$virtio"
        -chardev "pipe,id=agent,path=$LAB_RUN/agent"
        -device virtserialport,chardev=agent,name=lab
        -device "virtio-rng-pci,$virtio"
        -qmp "unix:$LAB_RUN/qmp,server=on,wait=off"
        -pidfile "$LAB_RUN/qemu.pid"
        "$@"
    )
    # Ahead of other work: libxl gives QEMU in dom0 ten seconds to answer, and
    # those pass as fast in an emulated machine that gets no time.
    # In a session of its own: an interrupt at the keyboard is ours to handle.
    # Its table of what it has translated is looked into all the time: in large
    # pages that takes less of it.
    TMPDIR=$LAB_RUN GLIBC_TUNABLES=glibc.malloc.hugetlb=1 \
        setsid nice -n -10 qemu-system-x86_64 "${args[@]}" \
        >"$LAB_RUN/qemu.log" 2>&1 </dev/null 9>&- &
    local child=$!
    disown

    while ! [ -s "$LAB_RUN/qemu.pid" ]; do
        if ! kill -0 "$child" 2>/dev/null || [ $SECONDS -ge "$end" ]; then
            cat "$LAB_RUN/qemu.log" >&2
            die "QEMU did not start"
        fi
        sleep 0.05
    done
    LAB_QEMU=$child
    # Where each session has its share of the processor, only the session's
    # own "nice" counts; it has one by now.
    sh -c "echo -10 >/proc/$child/autogroup" 2>/dev/null
}

# Until dom0 has said this on its console.
machine_says() { # TEXT END-IN-SECONDS
    while ! grep -qs "$1" "$LAB_RUN/serial.log"; do
        if ! kill -0 "$LAB_QEMU" 2>/dev/null; then
            cat "$LAB_RUN/qemu.log" >&2
            serial_tail
            die "the machine went away before it said \"$1\""
        fi
        if [ $SECONDS -ge "$2" ]; then
            serial_tail
            machine_kill
            die "dom0 did not say \"$1\" in time"
        fi
        sleep 0.1
    done
}

machine_answers() {
    machine_exec -t 20 -- true && return
    serial_tail
    machine_kill
    die "dom0 does not answer"
}

machine_up() { # DISK MEM TIMEOUT [LOSSY]
    local disk=$1 mem=$2 lossy=${4:-} drive end=$((SECONDS + $3))
    ensure_image
    lab_find
    [ -z "$LAB_QEMU" ] || die "a lab named '$LAB_NAME' is running already"
    if [ -z "$disk" ] && saved_fits "$mem"; then
        ensure_saved
        machine_folder
        saved_up "$mem" "$end"
        return
    fi
    machine_folder
    if [ -n "$lossy" ]; then
        lossy_disk "$disk"
        drive="file=nbd+unix:///?socket=$LAB_RUN/disk,format=raw,cache=writeback"
    elif [ -n "$disk" ]; then
        if [ ! -e "$disk" ]; then
            qemu-img create -q -f qcow2 -F raw -b "$LAB_IMAGE/root.img" \
                "$disk" || exit 1
        fi
        # A flush in dom0 reaches this file's host; that is the point of it.
        drive=file=$(readlink -f "$disk"),format=qcow2,cache=writeback
    else
        drive=file=$LAB_IMAGE/root.img,format=raw,cache=unsafe,snapshot=on
    fi
    machine_boot "$drive" "$mem" "$end"
}

# Each try waits for the answer: dom0 reads the bell when it is up.
machine_boot() { # DRIVE MEM END
    machine_start "$1" "$2" "$3"
    machine_says 'lab: dom0 is up' "$3"
    machine_answers
}

# A disk that loses what was not flushed: host/labdisk.c stands before it.
lossy_disk() { # FILE
    local disk=$1 seed=()
    if [ ! -e "$disk" ]; then
        cp --sparse=always "$LAB_IMAGE/root.img" "$disk.new" &&
            mv "$disk.new" "$disk" || exit 1
    fi
    [ "$(head -c 3 "$disk")" != QFI ] ||
        die "$disk is a qcow2 image; --lossy needs one that it made itself"
    [ -z "${LAB_CUT_SEED:-}" ] || seed=(-r "$LAB_CUT_SEED")
    setsid "$LAB_RUN/labdisk" -f "$disk" -s "$LAB_RUN/disk" \
        ${seed[@]+"${seed[@]}"} >"$LAB_RUN/disk.log" 2>&1 </dev/null 9>&- &
    echo $! >"$LAB_RUN/disk.pid"
    disown
    local tries
    for ((tries = 0; tries < 100; tries++)); do
        [ ! -S "$LAB_RUN/disk" ] || return 0
        sleep 0.05
    done
    cat "$LAB_RUN/disk.log" >&2
    die "the lab's disk did not start"
}

# It ends when QEMU is gone; FILE is what it will be only then.
lossy_disk_end() {
    local pid end=$((SECONDS + 20))
    [ -s "$LAB_RUN/disk.pid" ] || return 0
    read -r pid <"$LAB_RUN/disk.pid"
    rm -f "$LAB_RUN/disk.pid"
    while [ "$(readlink "/proc/$pid/exe" 2>/dev/null)" = "$LAB_RUN/labdisk" ]
    do
        if [ $SECONDS -ge $end ]; then
            kill -9 "$pid"
            warn "the lab's disk does not end"
            break
        fi
        sleep 0.05
    done
    [ ! -s "$LAB_RUN/disk.log" ] || say "disk: $(tail -n 1 "$LAB_RUN/disk.log")"
}

machine_exec() { # [LABX-OPTION...] -- CMD [ARG...]
    "$LAB_RUN/labx" -s "$LAB_RUN/share" -f "$LAB_RUN/agent.in" -p "$LAB_QEMU" \
        -l "$LAB_RUN/serial.log" "$@"
}

# Waits until QEMU is gone; false if it is still there after SECONDS.
machine_gone() { # SECONDS
    local end=$((SECONDS + $1))
    while kill -0 "$LAB_QEMU" 2>/dev/null; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.1
    done
}

machine_kill() {
    kill -9 "$LAB_QEMU" 2>/dev/null
    machine_gone 10 || die "QEMU ($LAB_QEMU) cannot be killed"
    machine_forget
}

machine_down() {
    # Never wait for a reader: a machine that is stuck has none.
    # shellcheck disable=SC2016 # expanded by that sh
    timeout 2 sh -c 'echo off >"$1"' sh "$LAB_RUN/agent.in"
    if ! machine_gone 20; then
        warn "'$LAB_NAME' does not power off, killing it"
        serial_tail
        kill -9 "$LAB_QEMU" 2>/dev/null
        machine_gone 10
    fi
    machine_forget
}

# The console log stays for whoever wants to look; the rest is gone.
machine_forget() {
    lossy_disk_end
    rm -rf "$LAB_RUN/share"
    rm -f "$LAB_RUN"/{qemu.pid,console,qmp,agent.in,agent.out,disk}
}
