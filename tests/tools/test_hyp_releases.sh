#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
#
# hyp/ compiles with the headers of each Xen that the lab has, whichever is
# installed here, and links with the libraries of that one.  They are unpacked
# once, into the lab's cache, from where this machine's packages come from.

set -u
cd "$(dirname "$(readlink -f "$0")")/../.." || exit 1
# shellcheck source=tests/lib/tap.sh
. tests/lib/tap.sh
# shellcheck source=tools/lab/image/sources.sh
. tools/lab/image/sources.sh
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# Only what the mirror does not give is skipped: a recipe that is wrong fails.
mirror_answers() { # RELEASE
    debian_sources "$1" 2>"$tmp/why" || return 1
    timeout 60 /usr/lib/apt/apt-helper download-file \
        "${mirror%/}/dists/$1/InRelease" "$tmp/InRelease" >"$tmp/why" 2>&1
}

compiled() { # RELEASE XEN
    local what="hyp/ compiles with the headers of Xen $2" module
    if ! module=$(tools/lab/lab module --release "$1" 2>"$tmp/err"); then
        if grep -q 'could not build the lab.s xen-' "$tmp/err" &&
            ! mirror_answers "$1"; then
            skip "$what" "NOT COMPILED: the mirror for Debian $1 cannot be reached"
            return
        fi
        not_ok "$what" "$(tail -n 40 "$tmp/err")"
        return 1
    fi
    ok "$what"
    if [ "${module##*/}" = "hyp-xen-$2.so" ] &&
        objdump -p "$module" | grep -q "NEEDED *libxenlight\.so\.$2\$"; then
        ok "and is linked with its libraries"
    else
        not_ok "and is linked with its libraries" "$module: $(objdump -p "$module" | grep NEEDED)"
    fi
}

compiled bookworm 4.17
compiled trixie 4.20
finish
