/* SPDX-License-Identifier: LGPL-2.1-only */
/* See delete_intent.h. */
#include "op/delete_intent.h"

#include <stdlib.h>

#include "lib/mem.h"
#include "op/uses.h"
#include "store/record_json.h"

static const char *const hows[] = {
    [SNAP_DELETE_DROP] = "drop",
    [SNAP_DELETE_PULL] = "pull",
    [SNAP_DELETE_MERGE] = "merge",
    [SNAP_DELETE_STAY] = "stay",
};

static struct snap_json *children(const struct snap_delete *d)
{
    size_t k;
    struct snap_json *kids = snap_json_array();

    for (k = 0; k < d->n_child; k++) {
        struct snap_json *kid = snap_json_object();

        snap_json_set_str(kid, "path", d->child[k].path);
        snap_json_set_bool(kid, "protect", d->child[k].protect);
        snap_json_push(kids, kid);
    }
    return kids;
}

struct snap_json *snap_deletion_disks(const struct snap_record *rec,
                                      const struct snap_delete *del)
{
    size_t i;
    struct snap_json *disks = snap_json_array();

    for (i = 0; i < rec->n_parts; i++) {
        const struct snap_delete *d = &del[i];
        struct snap_json *l = snap_json_object();

        snap_json_set_str(l, "vdev", rec->parts[i].vdev);
        snap_json_set_str(l, "how", hows[d->how]);
        snap_json_set_bool(l, "keep_image", d->keep_image);
        snap_object_to_json(l, "leaf", snap_delete_leaf(d));
        snap_json_set_str(l, "parent", d->parent);
        snap_json_set_str(l, "parent_format", d->parent_format);
        snap_object_to_json(l, "active", snap_delete_active(d));
        snap_json_set_str(l, "gone", d->gone);
        snap_json_set(l, "children", children(d));
        snap_json_push(disks, l);
    }
    return disks;
}

static int get_part(const struct snap_json *l, struct snap_delete *d,
                    struct snap_err *err)
{
    int rc;
    size_t i;
    const struct snap_json *kids = snap_json_get(l, "children");
    bool merge;

    for (i = 0; i < sizeof(hows) / sizeof(hows[0]); i++)
        if (snap_streq(hows[i], snap_json_get_str(l, "how")))
            break;
    if (i == sizeof(hows) / sizeof(hows[0]))
        return snap_fail(err, SNAP_CORRUPT, "journal: bad how");
    d->how = (enum snap_delete_how)i;
    merge = d->how == SNAP_DELETE_MERGE;
    d->keep_image = snap_json_get_bool(l, "keep_image", true);
    snap_set(&d->parent_format, snap_json_get_str(l, "parent_format"));
    rc = snap_intent_object(l, "leaf", merge, &d->leaf_kind, &d->leaf,
                            &d->leaf_format, err);
    if (!rc)
        rc = snap_intent_path(l, "parent", false, &d->parent, err);
    if (!rc)
        rc = snap_intent_object(l, "active", merge, &d->active_kind,
                                &d->active_path, &d->active_format, err);
    if (!rc)
        rc = snap_intent_path(l, "gone", merge, &d->gone, err);
    d->child = snap_zalloc((snap_json_len(kids) + 1) * sizeof(*d->child));
    for (i = 0; !rc && i < snap_json_len(kids); i++) {
        d->child[d->n_child].protect = snap_json_get_bool(snap_json_at(kids,
                                                                       i),
                                                          "protect", false);
        rc = snap_intent_path(snap_json_at(kids, i), "path", true,
                              &d->child[d->n_child++].path, err);
    }
    return rc;
}

int snap_deletion_read(struct snap_intent *in, struct snap_delete **del_r,
                       struct snap_err *err)
{
    int rc;
    size_t i;
    const struct snap_json *disks = in->disks;
    const struct snap_record *rec = in->rec;
    struct snap_delete *del;

    if (snap_json_len(disks) != rec->n_parts)
        return snap_fail(err, SNAP_CORRUPT,
                         "journal: disks do not match the record");
    del = snap_zalloc((rec->n_parts + 1) * sizeof(*del));
    for (i = 0; i < rec->n_parts; i++) {
        const struct snap_json *l = snap_json_at(disks, i);

        if (!snap_streq(snap_json_get_str(l, "vdev"), rec->parts[i].vdev))
            rc = snap_fail(err, SNAP_CORRUPT,
                           "journal: disks do not match the record");
        else
            rc = get_part(l, &del[i], err);
        if (rc) {
            snap_deletion_free(&del, rec->n_parts);
            return rc;
        }
        snap_set(&rec->parts[i].tag, rec->name);
    }
    *del_r = del;
    return 0;
}

void snap_deletion_free(struct snap_delete **del, size_t n)
{
    size_t i;

    for (i = 0; *del && i < n; i++)
        snap_delete_dispose(&(*del)[i]);
    free(*del);
    *del = NULL;
}

int snap_deletion_check(struct snap_intent *in, struct snap_err *err)
{
    struct snap_delete *del = NULL;
    int rc = snap_deletion_read(in, &del, err);

    if (!del)
        return rc;
    snap_json_free(in->disks);
    in->disks = snap_deletion_disks(in->rec, del);
    snap_deletion_free(&del, in->rec->n_parts);
    return 0;
}

static void uses_of(const struct snap_part *p, const struct snap_delete *d,
                    struct snap_uses *u)
{
    size_t k;

    snap_uses_add(u, snap_part_frozen(p),
                  d->how == SNAP_DELETE_STAY ? SNAP_USE_READ
                                             : SNAP_USE_CHANGE);
    for (k = 0; k < d->n_child; k++)
        snap_uses_add(u, snap_object_file(d->child[k].path), SNAP_USE_CHANGE);
    if (d->parent)
        snap_uses_add(u, snap_object_file(d->parent), SNAP_USE_READ);
    if (d->how != SNAP_DELETE_MERGE)
        return;
    snap_uses_add(u, snap_delete_leaf(d), SNAP_USE_CHANGE);
    snap_uses_add(u, snap_delete_active(d), SNAP_USE_CHANGE);
    snap_uses_add(u, snap_object_file(d->gone), SNAP_USE_CHANGE);
}

int snap_deletion_uses(struct snap_intent *in, struct snap_uses *u,
                       struct snap_err *err)
{
    int rc;
    size_t i;
    struct snap_delete *del = NULL;

    rc = snap_deletion_read(in, &del, err);
    for (i = 0; !rc && del && i < in->rec->n_parts; i++)
        uses_of(&in->rec->parts[i], &del[i], u);
    snap_deletion_free(&del, in->rec->n_parts);
    return rc;
}
