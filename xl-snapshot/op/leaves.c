/* SPDX-License-Identifier: LGPL-2.1-only */
/* See leaves.h. */
#include "op/leaves.h"

#include "lib/mem.h"

struct snap_json *snap_leaves_json(const struct snap_record *rec)
{
    size_t i;
    struct snap_json *leaves = snap_json_array();

    for (i = 0; i < rec->n_parts; i++) {
        const struct snap_part *part = &rec->parts[i];
        struct snap_json *l = snap_json_object();

        snap_json_set_str(l, "vdev", part->vdev);
        snap_json_set_str(l, "leaf_path", part->leaf_path);
        snap_json_set_str(l, "leaf_format", part->leaf_format);
        snap_json_set_str(l, "drop_path", part->drop_path);
        snap_json_set_str(l, "stem", part->stem);
        snap_json_push(leaves, l);
    }
    return leaves;
}

int snap_leaves_read(struct snap_intent *in, struct snap_err *err)
{
    int rc;
    size_t i;
    struct snap_record *rec = in->rec;

    if (snap_json_len(in->disks) != rec->n_parts)
        return snap_fail(err, SNAP_CORRUPT,
                         "journal: leaves do not match the record");
    for (i = 0; i < rec->n_parts; i++) {
        struct snap_part *part = &rec->parts[i];
        const struct snap_json *l = snap_json_at(in->disks, i);

        if (!snap_streq(snap_json_get_str(l, "vdev"), part->vdev))
            return snap_fail(err, SNAP_CORRUPT,
                             "journal: leaves do not match the record");
        rc = snap_intent_path(l, "leaf_path", false, &part->leaf_path, err);
        if (!rc)
            rc = snap_intent_path(l, "drop_path", false, &part->drop_path,
                                  err);
        if (rc)
            return rc;
        snap_set(&part->leaf_format, snap_json_get_str(l, "leaf_format"));
        snap_set(&part->stem, snap_json_get_str(l, "stem"));
    }
    return 0;
}

int snap_leaves_check(struct snap_intent *in, struct snap_err *err)
{
    int rc = snap_leaves_read(in, err);

    if (rc)
        return rc;
    snap_json_free(in->disks);
    in->disks = snap_leaves_json(in->rec);
    return 0;
}
