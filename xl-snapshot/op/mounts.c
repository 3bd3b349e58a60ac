/* SPDX-License-Identifier: LGPL-2.1-only */
/* See mounts.h. */
#include "op/mounts.h"

#include <stdlib.h>

#include "lib/mem.h"
#include "lib/mount.h"
#include "store/state.h"

static void note_file(struct snap_json *mounts, const char *path)
{
    char *at;

    if (!path || path[0] != '/' || snap_json_get(mounts, path))
        return;
    at = snap_mount_of(path);
    if (at)
        snap_json_set_str(mounts, path, at);
    free(at);
}

/* Objects with files in them, and lists of such: "children". */
static void note_list(struct snap_json *mounts, const struct snap_json *list)
{
    size_t i, k;

    for (i = 0; i < snap_json_len(list); i++) {
        const struct snap_json *one = snap_json_at(list, i);

        for (k = 0; k < snap_json_len(one); k++) {
            const struct snap_json *v = snap_json_at(one, k);

            note_file(mounts, snap_json_string(v, NULL));
            if (snap_streq(snap_json_get_str(v, "kind"), SNAP_KIND_FILE))
                note_file(mounts, snap_json_get_str(v, "id"));
            if (snap_json_type(v) == SNAP_JSON_ARRAY)
                note_list(mounts, v);
        }
    }
}

struct snap_json *snap_mounts_of(const struct snap_op *op,
                                 const struct snap_json *plan)
{
    struct snap_json *mounts = snap_json_object();

    note_list(mounts, snap_json_path(plan, "record.disks"));
    if (op->disks)
        note_list(mounts, snap_json_get(plan, op->disks));
    /* Nothing else that is half done needs them. */
    if (op->makes_files) {
        note_file(mounts,
                  snap_json_string(snap_json_path(plan, "record.memory.path"),
                                   NULL));
        note_file(mounts, snap_json_get_str(plan, "output"));
    }
    return mounts;
}

static int mounts_refuse(const struct snap_op *op, const char *path,
                         const char *mount, const char *name,
                         struct snap_err *err)
{
    return snap_fail(err, SNAP_RECOVER,
                     "%s is not there, and what was mounted on %s when this began is not mounted; nothing was done to the disks.  Mount it, and run xl snapshot-recover %s.  If it is no more, run xl snapshot-recover --keep %s%s",
                     path, mount, name, name,
                     op->keep_means ? op->keep_means : "");
}

int snap_mounts_check(const struct snap_op *op, const struct snap_json *mounts,
                      const struct snap_record *rec, const char *name,
                      const struct snap_state *state, struct snap_err *err)
{
    size_t i;

    if (!name)
        name = state->domain_name ? state->domain_name : rec->domain_name;
    for (i = 0; i < snap_json_len(mounts); i++) {
        const char *path = snap_json_key_at(mounts, i);
        const char *at = snap_json_string(snap_json_at(mounts, i), NULL);

        if (snap_mount_missing(path, at))
            return mounts_refuse(op, path, at, name, err);
    }
    for (i = 0; i < rec->n_parts; i++) {
        const struct snap_leaf *l = snap_state_leaf(state, rec->parts[i].vdev);

        if (l && snap_mount_missing(l->path, l->mount))
            return mounts_refuse(op, l->path, l->mount, name, err);
    }
    return 0;
}
