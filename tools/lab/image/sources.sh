# SPDX-License-Identifier: LGPL-2.1-only
# shellcheck shell=bash
#
# Where packages of a Debian release come from: from where this machine's apt
# gets its own.  Sourced by what builds the image, and by what unpacks Xen's
# headers.

# debian_sources RELEASE: sets $sources ("URI SUITE COMPONENT" each) and $mirror,
# the one that has its main.  If apt knows another release only, all are taken to
# have this one as well: a Debian mirror does.
debian_sources() {
    local release=$1 known r s
    # shellcheck disable=SC2016 # apt's own variables
    known=$(apt-get indextargets \
        --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages')
    mirror=
    for r in "$release" bookworm trixie; do
        mapfile -t sources < <(awk -v from="$r" -v to="$release" '
            $2 ~ "^" from "(-updates|-security)?(/.*)?$" {
                sub("^" from, to, $2)
                if (!seen[$0]++)
                    print
            }' <<<"$known")
        for s in "${sources[@]}"; do
            [[ $s != *" $release main" ]] || { mirror=${s%% *}; return 0; }
        done
    done
    echo "this machine's apt knows no source for Debian $release (main); add one to /etc/apt/sources.list and run apt-get update" >&2
    return 1
}
