/* SPDX-License-Identifier: LGPL-2.1-only */
/* An image as it was when nobody was to write to it any more, in a journal. */
#ifndef SNAP_OP_STAMP_H
#define SNAP_OP_STAMP_H

#include "model/env.h"

/* {"mtime_ns", "bytes", "at_ns", "boot_id"}, or NULL if it has no stamp. */
struct snap_json *snap_stamp_json(const struct snap_stamp *st);
/* And back; j may be NULL: not known. */
void snap_stamp_from_json(const struct snap_json *j, struct snap_stamp *st_r);
/* Is it another one now? */
bool snap_stamp_changed(const struct snap_env *env, const char *path,
                        const struct snap_stamp *then);

#endif /* SNAP_OP_STAMP_H */
