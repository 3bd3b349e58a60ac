/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The configuration of a clone: that of the snapshot, with everything of its
 * own that two domains must not share.  As model/domain_json.h: libxl's JSON edited
 * as plain JSON, without Xen.
 */
#ifndef SNAP_OP_CLONE_CONFIG_H
#define SNAP_OP_CLONE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/rc.h"
#include "model/hyp_ops.h"

struct snap_clone_config {
    const char *name;
    const char *uuid;
    bool memory; /* its guest wakes up: no device may be missing */
    const struct snap_active *disks; /* that it has of its own */
    size_t n_disks;
    char *const *left_out; /* virtual disks that it does not get */
    size_t n_left_out;
};

/*
 * *json_r: the configuration; *macs_r: an address for each of its network
 * devices, in order (snap_notes_free()).  What changes beside name, UUID,
 * addresses and disks goes to the notes.  SNAP_REFUSED for a device that no
 * second domain can have and that the guest's memory expects.
 */
int snap_clone_config_make(const char *json, const struct snap_clone_config *c,
                           char **json_r, char ***macs_r, size_t *n_macs_r,
                           char ***notes, size_t *n_notes,
                           struct snap_err *err);

/* A random UUID (RFC 9562, version 4), in lower case. */
int snap_uuid_make(char uuid_r[37], struct snap_err *err);

#endif /* SNAP_OP_CLONE_CONFIG_H */
