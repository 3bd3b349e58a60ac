/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The plain structs of the hypervisor table (model/hyp_ops.h): how they die
 * and what their enums are called.  May assume that every string in them came
 * from malloc(); must never ask the hypervisor anything.
 */
#include "model/domain.h"

#include <string.h>

#include "lib/mem.h"

const char *snap_guest_type_name(enum snap_guest_type t)
{
    switch (t) {
    case SNAP_GUEST_PV:
        return "pv";
    case SNAP_GUEST_PVH:
        return "pvh";
    case SNAP_GUEST_HVM:
        return "hvm";
    }
    return "?";
}

void snap_domain_dispose(struct snap_domain *d)
{
    snap_free(&d->name);
    snap_free(&d->mark);
    snap_free(&d->why_no_suspend);
    snap_free(&d->why_no_live);
    snap_free(&d->mark);
    memset(d, 0, sizeof(*d));
}

int snap_refuse_dying(const struct snap_domain *d, const char *who,
                      struct snap_err *err)
{
    return snap_fail(err, SNAP_BUSY,
                     "%s (domain %u) is being destroyed; try again when it is gone; if it stays, its QEMU or another backend still holds its memory",
                     who, d->domid);
}

void snap_vbd_dispose(struct snap_vbd *v)
{
    snap_free(&v->vdev);
    snap_free(&v->path);
    snap_free(&v->format);
    snap_free(&v->backend);
    snap_free(&v->script);
    memset(v, 0, sizeof(*v));
}
