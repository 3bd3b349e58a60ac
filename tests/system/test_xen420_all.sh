#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# limit: 3200
# only: check-all
# release: trixie
#
# Create and revert on Debian 13, all that test_pv.sh, test_pvh.sh and
# test_hvm.sh ask of Debian 12.
#
#   test_xen420_all.sh [TYPE...]

# shellcheck source=tests/system/create_revert.sh
. "$(dirname "$0")/create_revert.sh"

[ $# -gt 0 ] || set -- pv pvh hvm
for type; do
    all_of "$type"
done
verdict
