/* SPDX-License-Identifier: LGPL-2.1-only */
/* See leaves.h. */
#include "op/leaves.h"

#include "lib/mem.h"
#include "op/uses.h"
#include "store/record_json.h"

struct snap_json *snap_leaves_json(const struct snap_record *rec)
{
    size_t i;
    struct snap_json *leaves = snap_json_array();

    for (i = 0; i < rec->n_parts; i++) {
        const struct snap_part *part = &rec->parts[i];
        struct snap_json *l = snap_json_object();

        snap_json_set_str(l, "vdev", part->vdev);
        snap_object_to_json(l, "leaf", snap_part_leaf(part));
        snap_object_to_json(l, "drop", snap_part_drop(part));
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
        rc = snap_intent_object(l, "leaf", true, &part->leaf_kind,
                                &part->leaf_path, &part->leaf_format, err);
        if (!rc)
            rc = snap_intent_object(l, "drop", false, &part->drop_kind,
                                    &part->drop_path, &part->drop_format, err);
        if (rc)
            return rc;
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

int snap_leaves_uses(struct snap_intent *in, struct snap_uses *u,
                     struct snap_err *err)
{
    size_t i;
    int rc = snap_leaves_read(in, err);

    for (i = 0; !rc && i < in->rec->n_parts; i++) {
        const struct snap_part *p = &in->rec->parts[i];

        /* What is inside an image is taken out of it, whoever writes to it. */
        if (!p->drv || !p->drv->inside)
            snap_uses_add(u, snap_part_frozen(p), SNAP_USE_READ);
        snap_uses_add(u, snap_part_leaf(p), SNAP_USE_CHANGE);
        snap_uses_add(u, snap_part_drop(p), SNAP_USE_CHANGE);
    }
    return rc;
}
