# SPDX-License-Identifier: LGPL-2.1-only
# shellcheck shell=bash
#
# Which Debian, and so which Xen, a lab has; and hyp/ built for that Xen, where
# this machine's own is another.

LAB_RELEASES='bookworm trixie'

release_known() { # RELEASE
    [[ " $LAB_RELEASES " == *" $1 "* ]]
}

# Before the options are read: what the environment says, else this machine's own
# release, else the oldest.
release_default() {
    if [ -z "$LAB_RELEASE" ]; then
        # shellcheck source=/dev/null
        LAB_RELEASE=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
        release_known "$LAB_RELEASE" || LAB_RELEASE=${LAB_RELEASES%% *}
    fi
    release_known "$LAB_RELEASE" ||
        misuse "LAB_RELEASE: one of $LAB_RELEASES, not '$LAB_RELEASE'"
}

# Sets $LAB_XEN to a folder with the headers and libraries of the release's Xen.
ensure_xen() {
    local hash recipe=("$LAB_TOP/xen/unpack" "$LAB_TOP/image/sources.sh")
    hash=$(hash_of "${recipe[@]}" - <<<"$LAB_RELEASE") || exit 1
    build_once "xen-$LAB_RELEASE" "$hash" unpack_xen
    LAB_XEN=$built
}

unpack_xen() { # FOLDER
    say "unpacking the headers of Xen ($LAB_RELEASE): once"
    "$LAB_TOP/xen/unpack" "$1" "$LAB_RELEASE"
}

# Builds hyp/ against them; sets $LAB_MODULE.  One at a time: two makes would
# write the same objects.
ensure_module() {
    local build args
    ensure_xen
    build=$LAB_PROJECT/build/$(basename "$LAB_XEN")
    mkdir -p "$build" || exit 1
    args=(-s --no-print-directory -C "$LAB_PROJECT" XEN_ROOT="$LAB_XEN"
          BUILD="$build" SAN=)
    # shellcheck disable=SC2094 # the lock's content is never read
    {
        flock 9
        make "${args[@]}" module >&2 || die "hyp/ could not be built for $LAB_RELEASE"
    } 9>"$build/.lock"
    LAB_MODULE=$(echo "$build"/hyp-xen-*.so)
    [ -f "$LAB_MODULE" ] || die "$build: no module in it"
}
