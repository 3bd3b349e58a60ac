# SPDX-License-Identifier: LGPL-2.1-only
# shellcheck shell=bash
#
# What all parts of the lab share: messages, and where things are kept.

LAB_STARTED=$SECONDS

say() {
    printf 'lab: %4d s  %s\n' $((SECONDS - LAB_STARTED)) "$*" >&2
}

warn() {
    echo "lab: $*" >&2
}

die() {
    echo "lab: $*" >&2
    exit 1
}

# The command line is wrong: say how it should be.
misuse() {
    echo "lab: $*; see \"lab --help\"" >&2
    exit 2
}

need_value() { # OPTION COUNT-OF-ARGUMENTS-LEFT
    [ "$2" -ge 2 ] || misuse "$1 needs a value"
}

need_number() { # OPTION VALUE
    [[ $2 =~ ^[0-9]+$ ]] || misuse "$1 needs a number, not '$2'"
}

lab_cache() {
    echo "${XL_SNAPSHOT_LAB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/xl-snapshot/lab}"
}

# The folder of the running labs.  In /tmp anybody could have made it first.
lab_runtime() {
    local dir
    dir=${XDG_RUNTIME_DIR:-/tmp}/xl-snapshot-lab-$(id -u)
    [ -d "$dir" ] || mkdir -m 700 "$dir" || exit 1
    if [ ! -O "$dir" ] || [ -L "$dir" ]; then
        die "$dir belongs to somebody else"
    fi
    echo "$dir"
}

# Sets LAB_NAME's folder in $LAB_RUN and its QEMU's process in $LAB_QEMU (empty
# when it does not run).
lab_find() {
    [[ $LAB_NAME =~ ^[A-Za-z0-9][A-Za-z0-9._-]{0,40}$ ]] ||
        misuse "'$LAB_NAME' is not a name for a lab"
    local runtime
    runtime=$(lab_runtime) || exit 1
    LAB_RUN=$runtime/$LAB_NAME
    LAB_QEMU=
    if [ -s "$LAB_RUN/qemu.pid" ]; then
        read -r LAB_QEMU <"$LAB_RUN/qemu.pid"
        # The number may be somebody else's by now.
        local words=
        [ -r "/proc/$LAB_QEMU/cmdline" ] &&
            words=$(tr '\0' ' ' <"/proc/$LAB_QEMU/cmdline" 2>/dev/null)
        [[ $words == *"$LAB_RUN/"* ]] || LAB_QEMU=
    fi
}

lab_find_running() {
    lab_find
    [ -n "$LAB_QEMU" ] ||
        die "no lab named '$LAB_NAME' is running; start one with \"lab up\""
}

serial_tail() {
    [ -s "$LAB_RUN/serial.log" ] || return 0
    warn "end of the console:"
    tail -n 40 "$LAB_RUN/serial.log" | tr -d '\r' >&2
}
