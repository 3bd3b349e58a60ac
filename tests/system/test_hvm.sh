#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# limit: 2300
# takes: 220
#
# Create and revert, for a HVM guest.

# shellcheck source=tests/system/create_revert.sh
. "$(dirname "$0")/create_revert.sh"

BOOT_LIMIT=300

all_of hvm
verdict
