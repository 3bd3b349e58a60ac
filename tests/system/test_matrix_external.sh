#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# limit: 1200
# takes: 420
#
# Every line of the RFC's matrix, disks snapshotted by overlays.

# shellcheck source=tests/system/matrix.sh
. "$(dirname "$0")/matrix.sh"
matrix_of external
verdict
