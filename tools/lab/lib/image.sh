# SPDX-License-Identifier: LGPL-2.1-only
# shellcheck shell=bash
#
# What a lab boots from, in two stages, each kept under a hash of all that
# goes into it: the dom0 image, which takes minutes to build, and the small
# programs (agent, guest), which take a second.  Each release has its own.

hash_of() { # FILE...
    cat "$@" | sha256sum | cut -c1-16
}

# build_once KIND HASH COMMAND...
#   Runs COMMAND FOLDER unless FOLDER is there already; sets $built.  It is
#   made under another name and renamed when whole.
build_once() {
    local kind=$1 hash=$2 cache tmp
    shift 2
    cache=$(lab_cache)
    built=$cache/$kind-$hash
    if [ -d "$built" ]; then
        touch -c "$built"
        return 0
    fi
    mkdir -p "$cache" || exit 1
    # shellcheck disable=SC2094 # the lock's content is never read
    {
        flock -n 9 || { say "waiting for another build of the lab's $kind"
                        flock 9; }
        if [ ! -d "$built" ]; then
            rm -rf "$cache/.$kind".*
            tmp=$(mktemp -d "$cache/.$kind.XXXXXX") || exit 1
            if ! "$@" "$tmp"; then
                cp "$tmp/build.log" "$cache/$kind-failed.log" 2>/dev/null &&
                    warn "see $cache/$kind-failed.log"
                rm -rf "$tmp"
                die "could not build the lab's $kind"
            fi
            chmod 755 "$tmp"
            mv "$tmp" "$built" || exit 1
            forget_old "$cache" "$kind"
        fi
    } 9>"$cache/.lock-$kind"
}

forget_old() { # CACHE KIND: all but the newest two
    local old
    find "$1" -maxdepth 1 -type d -name "$2-*" -printf '%T@ %p\n' |
        sort -rn | tail -n +3 | cut -d' ' -f2- |
        while read -r old; do rm -rf "$old"; done
}

build_image() { # FOLDER
    [ "$(id -u)" -eq 0 ] || die "building the lab's image needs root"
    "$LAB_TOP/../deps.sh" lab || exit 1
    say "building the dom0 image ($LAB_RELEASE): once, some minutes"
    unshare --mount --propagation private "$LAB_TOP/image/build" "$1" \
        "$LAB_RELEASE" 9>&-
}

build_parts() { # FOLDER
    local cc=(gcc -O2 -Wall -Wextra)
    "$LAB_TOP/../deps.sh" lab || exit 1
    "${cc[@]}" -o "$1/labx" "$LAB_TOP/host/labx.c" &&
        "${cc[@]}" -o "$1/labdisk" "$LAB_TOP/host/labdisk.c" &&
        "${cc[@]}" -static -o "$1/lab-agent" "$LAB_TOP/dom0/agent.c" &&
        "${cc[@]}" -o "$1/guest-ask" "$LAB_TOP/dom0/ask.c" -lxenstore &&
        "$LAB_TOP/guest/build" "$LAB_IMAGE" "$1/guest-initrd" &&
        unpack_kernel "$LAB_IMAGE/vmlinuz" "$1/vmlinux" &&
        no_long_look_at_pit "$1/vmlinux"
}

# Where the bytes of PATTERN are first in FILE, or nothing.
place_of() { # PATTERN FILE
    LC_ALL=C grep -aobP "$1" "$2" | head -n 1 | cut -d: -f1
}

# Debian's kernel is an xz (bookworm) or a zstd (trixie) in a boot sector's
# clothes.  Xen and libxl would unpack it at each boot of dom0 and each creation
# of a guest: under emulation that is seconds, every time.
unpack_kernel() { # VMLINUZ VMLINUX
    local at
    # What comes after it is the boot sector's business: xz can be told to stop
    # there, zstd complains of it when it has unpacked all.
    if at=$(place_of '\xfd7zXZ\x00' "$1") && [ -n "$at" ]; then
        tail -c +$((at + 1)) "$1" | xz -dcq --single-stream >"$2" ||
            die "$1: cannot unpack it"
    elif at=$(place_of '\x28\xb5\x2f\xfd' "$1") && [ -n "$at" ]; then
        tail -c +$((at + 1)) "$1" | zstd -dcq >"$2" 2>/dev/null
    else
        die "$1: neither an xz nor a zstd in it"
    fi
    [ "$(head -c 4 "$2" | tail -c 3)" = ELF ] || die "$1: no kernel in it"
}

# To measure its clock the kernel reads the PIT 50,000 times, or until that counts.
# Xen's PVH guests have none, and each read takes an emulated machine 50 us: that
# was a third of their boot.  100 times says the same.  What reads it is "in
# $0x42" twice behind the comparison; where there is none, nothing is changed.
no_long_look_at_pit() { # VMLINUX
    perl -0777 -pi -e \
        's/\x50\xc3\0\0(?=\x74.\xe4\x42\xe4\x42)/\x64\0\0\0/gs' "$1"
}

ensure_image() {
    local image=("$LAB_TOP"/image/*)
    local parts=("$LAB_TOP"/host/*.c "$LAB_TOP/dom0/agent.c"
                 "$LAB_TOP/dom0/ask.c" "$LAB_TOP"/guest/*
                 "${BASH_SOURCE[0]}")
    local hash
    hash=$(hash_of "${image[@]}" - <<<"$LAB_RELEASE") || exit 1
    build_once "image-$LAB_RELEASE" "$hash" build_image
    LAB_IMAGE=$built
    hash=$(hash_of "${parts[@]}" <<<"$hash" - ) || exit 1
    build_once "parts-$LAB_RELEASE" "$hash" build_parts
    # shellcheck disable=SC2034 # machine.sh does
    LAB_PARTS=$built
}
