/* SPDX-License-Identifier: LGPL-2.1-only */
/* See media.h. */
#include "op/media.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/mem.h"
#include "model/domain_json.h"
#include "op/parts.h"

bool snap_media_gone(const struct snap_vbd *v)
{
    return v->path && v->path[0] == '/' && access(v->path, F_OK);
}

int snap_media_refuse(const struct snap_vbd *v, const char *path,
                      struct snap_err *err)
{
    return snap_fail(err, SNAP_NOTFOUND,
                     "%s: %s, which the domain's configuration names: %s (put it back%s)",
                     v->vdev, path, strerror(errno),
                     v->cdrom
                         ? ", or go on without it: --eject-missing, with --disk-only if there is memory"
                         : "");
}

/* What becomes of one drive. */
static int media_choose(const struct snap_vbd *v, enum snap_guest_type type,
                        bool memory, struct snap_eject *e_r,
                        struct snap_err *err)
{
    e_r->vdev = v->vdev;
    e_r->remove = type != SNAP_GUEST_HVM;
    if (memory)
        return snap_fail(err, SNAP_REFUSED,
                         "%s: %s is not there, and a guest that wakes up would miss it: put the image back, or use --disk-only as well",
                         v->vdev, v->path);
    return 0;
}

int snap_media_eject(char **json, bool memory, char ***notes, size_t *n_notes,
                     struct snap_err *err)
{
    int rc;
    size_t i, n = 0, m = 0;
    enum snap_guest_type type;
    char *fresh = NULL;
    struct snap_vbd *v = NULL;
    struct snap_eject *e = NULL;

    rc = snap_domain_json_identity(*json, NULL, NULL, &type, NULL, err);
    if (!rc)
        rc = snap_domain_json_disks(*json, &v, &n, err);
    if (rc)
        goto out;
    e = snap_realloc(NULL, n + 1, sizeof(*e));
    for (i = 0; !rc && i < n; i++) {
        if (!v[i].cdrom || !snap_media_gone(&v[i]))
            continue;
        rc = media_choose(&v[i], type, memory, &e[m], err);
        if (!rc && notes && n_notes)
            snap_note_add(notes, n_notes,
                          "%s: %s is not there; the drive is %s", v[i].vdev,
                          v[i].path, e[m].remove ? "left out" : "empty");
        m++;
    }
    if (!rc && m)
        rc = snap_domain_json_eject(*json, e, m, &fresh, err);
    if (!rc && m) {
        free(*json);
        *json = fresh;
    }

out:
    free(e);
    snap_vbds_free(&v, &n);
    return rc;
}

char *snap_media_lacks(const char *json)
{
    struct snap_err ignored = SNAP_ERR_INIT;
    struct snap_vbd *v = NULL;
    char *what = NULL;
    size_t i, n = 0;

    if (snap_domain_json_disks(json, &v, &n, &ignored))
        return NULL;
    for (i = 0; !what && i < n; i++)
        if ((v[i].cdrom || v[i].readonly) && snap_media_gone(&v[i]))
            what = snap_printf("%s: %s is not there", v[i].vdev, v[i].path);
    snap_vbds_free(&v, &n);
    return what;
}
