#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# limit: 2200
# takes: 240
#
# Create and revert, for a PVH guest.

# shellcheck source=tests/system/create_revert.sh
. "$(dirname "$0")/create_revert.sh"

all_of pvh
verdict
