/* SPDX-License-Identifier: LGPL-2.1-only */
/* See overlay_names.h. */
#include "disk/qemu/overlay_names.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "lib/file.h"
#include "lib/mem.h"

const char *snap_overlay_file(const struct snap_part *p)
{
    const char *s = snap_json_get_str(p->data, "file");

    return s ? s : p->active_path;
}

const char *snap_overlay_node(const struct snap_part *p)
{
    return snap_json_get_str(p->data, "node");
}

const char *snap_overlay_base(const struct snap_part *p)
{
    const char *s = snap_json_get_str(p->data, "base");

    return s ? s : p->frozen_path;
}

char *snap_overlay_stem(const char *path)
{
    static const char *const known[] = {
        ".qcow2",
        ".img",
        ".raw",
        ".vhd",
    };
    char *s = snap_strdup(snap_basename(path));
    size_t i = 0;

    while (i < sizeof(known) / sizeof(known[0])) {
        size_t len = strlen(s), cut = strlen(known[i]);

        if (len > cut && !strcmp(s + len - cut, known[i])) {
            s[len - cut] = '\0';
            i = 0;
        } else {
            i++;
        }
    }
    return s;
}

int snap_overlay_name(const struct snap_part *p, const char *beside,
                      const char *suffix, char **path_r, struct snap_err *err)
{
    int rc;
    char *dir = snap_dirname(beside);
    char *stem = p->stem && p->stem[0]
                     ? snap_strdup(p->stem)
                     : snap_overlay_stem(p->path ? p->path : beside);
    char *path = snap_printf("%s/%s.%s%s", strcmp(dir, "/") ? dir : "", stem,
                             p->tag, suffix);

    /* Room for a temporary name beside it. */
    if (strlen(snap_basename(path)) > NAME_MAX - 26 || !snap_path_ok(path)) {
        rc = snap_fail(err, SNAP_REFUSED,
                       "%s: a name like %s is too long; give another with target=",
                       p->vdev, path);
        goto out;
    }
    free(*path_r);
    *path_r = path;
    path = NULL;
    rc = 0;

out:
    free(path);
    free(stem);
    free(dir);
    return rc;
}

char *snap_overlay_temp(const struct snap_disk_ctx *c, const char *path)
{
    return snap_printf("%s.xlsnap-%s", path, c->op_id);
}

int snap_overlay_sync_folder(const char *path, struct snap_err *err)
{
    char *dir = snap_dirname(path);
    int rc = snap_dir_sync(dir, err);

    free(dir);
    return rc;
}
