/* SPDX-License-Identifier: LGPL-2.1-only */
/* See stale.h. */
#include "op/stale.h"

#include <stdlib.h>

#include "lib/mem.h"
#include "op/parts.h"
#include "store/state.h"

/* "line 12 of /etc/xen/vm1.cfg".  Which disks of a domain were plugged in
 * later is not in what libxl keeps of it, so else both places are named. */
static char *xl_cfg(const struct snap_offline *o, const char *domain,
                    const char *image)
{
    unsigned line = o ? snap_offline_line(o, image) : 0;

    if (line)
        return snap_printf("line %u of %s", line, o->file);
    return o && o->file ? snap_strdup(o->file)
                        : snap_printf(SNAP_NOTE_XL_CFG, domain);
}

char *snap_stale_created(const struct snap_record *rec,
                         const struct snap_offline *o)
{
    size_t i;
    struct snap_buf b = { 0 };

    for (i = 0; i < rec->n_parts; i++) {
        const struct snap_part *p = &rec->parts[i];
        char *where;

        if (!snap_part_moves(p))
            continue;
        where = xl_cfg(o, rec->domain_name, p->path);
        if (snap_streq(p->path, p->active_path))
            snap_buf_addf(&b, "%s%s: in %s, change the format of %s to %s",
                          b.len ? "\n" : "", p->vdev, where, p->path,
                          p->active_format);
        else
            snap_buf_addf(&b,
                          "%s%s: %s is frozen now; in %s, change this disk to format=%s, target=%s%s",
                          b.len ? "\n" : "", p->vdev, p->path, where,
                          p->active_format, p->active_path,
                          /* Others would have to be called so. */
                          snap_streq(p->format, p->active_format)
                              ? " (--keep-path avoids this)"
                              : "");
        free(where);
    }
    return b.data;
}

char *snap_stale_reverted(const struct snap_part *p, const char *domain)
{
    if (snap_streq(p->leaf_path, p->path))
        return NULL;
    return snap_printf("%s: the guest will write to a new image; in " SNAP_NOTE_XL_CFG
                       ", change this disk to format=%s, target=%s",
                       p->vdev, domain, p->leaf_format, p->leaf_path);
}

char *snap_stale_merged(const char *vdev, const char *domain, const char *path,
                        const char *format)
{
    return snap_printf("%s: the domain's disk is %s again; " SNAP_NOTE_XL_CFG
                       ", must have format=%s, target=%s",
                       vdev, path, domain, format, path);
}

char *snap_stale_gone(const char *vdev, const char *frozen, const char *leaf)
{
    return snap_printf("%s: %s goes; no xl.cfg may name it any more, the domain's disk is %s",
                       vdev, frozen, leaf);
}

char *snap_stale_now(const struct snap_leaf *l, const char *domain)
{
    if (!l || !l->made)
        return NULL;
    return snap_printf("%s: the domain's disk is %s; " SNAP_NOTE_XL_CFG
                       ", must have format=%s, target=%s",
                       l->vdev, l->path, domain, l->format, l->path);
}
