#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# limit: 1100
# takes: 130
#
# Create and revert, for a PV guest.

# shellcheck source=tests/system/create_revert.sh
. "$(dirname "$0")/create_revert.sh"

all_of pv
verdict
