#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# limit: 1200
# takes: 400
#
# Every line of the RFC's matrix, disks snapshotted inside their images.

# shellcheck source=tests/system/matrix.sh
. "$(dirname "$0")/matrix.sh"
matrix_of internal
verdict
