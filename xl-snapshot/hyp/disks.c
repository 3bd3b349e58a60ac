/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A domain's disks as their backends have them now.  libxl_device_disk_list()
 * reads libxl's own copy in xenstore (/libxl/D/device/vbd/N) but leaves out
 * the format, the script and the state of the frontend; those are read here
 * from the same nodes.
 *
 * Source of the nodes: libxl_disk.c: device_disk_add(),
 * libxl__disk_from_xenstore(); libxl_device.c:
 * libxl__device_disk_string_of_format() ("raw" is written "aio"), Xen 4.17.
 */
#include "hyp/disks.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "hyp/call.h"
#include "hyp/domain.h"
#include "hyp/xs.h"
#include "lib/file.h"

static const struct {
    const char *format; /* libxl's word */
    const char *params; /* xenstore's */
} words[] = {
    { "raw", "aio" },   { "qcow2", "qcow2" }, { "vhd", "vhd" },
    { "qcow", "qcow" }, { "qed", "qed" },     { "empty", "empty" },
};
#define N_WORDS (sizeof(words) / sizeof(words[0]))

const char *hyp_params_word(const char *format)
{
    size_t i;

    for (i = 0; i < N_WORDS; i++)
        if (!strcmp(words[i].format, format))
            return words[i].params;
    return NULL;
}

/* The format that the word in front of params stands for; NULL if none. */
static const char *format_of_params(const char *params)
{
    size_t i, len;

    for (i = 0; i < N_WORDS; i++) {
        len = strlen(words[i].params);
        if (!strncmp(params, words[i].params, len) && params[len] == ':')
            return words[i].format;
    }
    return NULL;
}

static const char *backend_word(libxl_disk_backend backend)
{
    switch (backend) {
    case LIBXL_DISK_BACKEND_PHY:
        return "phy";
    case LIBXL_DISK_BACKEND_TAP:
        return "tap";
    case LIBXL_DISK_BACKEND_QDISK:
        return "qdisk";
    case LIBXL_DISK_BACKEND_STANDALONE:
        return "standalone";
    default:
        return "unknown";
    }
}

static void disks_fill(struct snap_hyp *h, uint32_t domid,
                       const libxl_device_disk *disk, struct snap_vbd *v)
{
    char *node = hyp_xs_disk(h, domid, disk->vdev), *params, *frontend;
    const char *format = NULL;

    v->vdev = snap_strdup(disk->vdev);
    v->path = snap_strdup(disk->pdev_path ? disk->pdev_path : "");
    v->backend = snap_strdup(backend_word(disk->backend));
    v->backend_domid = disk->backend_domid;
    v->readonly = !disk->readwrite;
    v->cdrom = disk->is_cdrom;
    v->virtio = disk->specification == LIBXL_DISK_SPECIFICATION_VIRTIO;

    if (node) {
        params = hyp_xs_read(h, "%s/params", node);
        if (params)
            format = format_of_params(params);
        free(params);
        v->script = hyp_xs_read(h, "%s/script", node);
        /* Written for every phy disk; the default one is nothing special. */
        if (v->script && !strcmp(snap_basename(v->script), "block"))
            snap_free(&v->script);
        frontend = hyp_xs_read(h, "%s/frontend", node);
        if (frontend)
            v->frontend_state = hyp_xs_long(h, 0, "%s/state", frontend);
        free(frontend);
        free(node);
    }
    if (!v->path[0])
        format = "empty";
    v->format = snap_strdup(format ? format : "raw");
}

int hyp_disks(struct snap_hyp *h, const struct snap_domain *dom,
              struct snap_vbd **vbds_r, size_t *n_r, struct snap_err *err)
{
    libxl_device_disk *list = NULL;
    struct snap_vbd *vbds;
    enum hyp_state state;
    int rc, n = 0, i;

    *vbds_r = NULL;
    *n_r = 0;
    rc = hyp_enter(h, "disks", err);
    if (rc)
        goto out;
    rc = hyp_state(h, dom, &state, err);
    if (rc)
        goto out;
    list = libxl_device_disk_list(h->ctx, dom->domid, &n);
    if (!list && h->logger.first[0]) {
        rc = hyp_fail(h, err, 0, "%s: cannot list its disks", dom->name);
        goto out;
    }
    if (!list || n <= 0) {
        rc = 0;
        goto out;
    }
    vbds = snap_zalloc(n * sizeof(*vbds));
    for (i = 0; i < n; i++)
        disks_fill(h, dom->domid, &list[i], &vbds[i]);
    *vbds_r = vbds;
    *n_r = n;
    rc = 0;

out:
    if (list)
        libxl_device_disk_list_free(list, n);
    return rc;
}

/* --- who else has an image? -------------------------------------------- */

static bool same_file(const struct stat *a, const char *path)
{
    struct stat b;

    return !stat(path, &b) && snap_same_stat(a, &b);
}

static char *user_in(struct snap_hyp *h, uint32_t domid, const char *path,
                     const struct stat *st)
{
    libxl_device_disk *list;
    char *who = NULL, *name;
    int n = 0, i;

    list = libxl_device_disk_list(h->ctx, domid, &n);
    for (i = 0; list && i < n && !who; i++) {
        if (!list[i].pdev_path || !list[i].pdev_path[0])
            continue;
        if (strcmp(list[i].pdev_path, path) &&
            (!st || !same_file(st, list[i].pdev_path)))
            continue;
        name = libxl_domid_to_name(h->ctx, domid);
        who = name ? snap_printf("%s (%s)", name, list[i].vdev)
                   : snap_printf("domain %u (%s)", domid, list[i].vdev);
        free(name);
    }
    if (list)
        libxl_device_disk_list_free(list, n);
    return who;
}

int hyp_image_user(struct snap_hyp *h, const char *path, uint32_t except_domid,
                   char **who_r, struct snap_err *err)
{
    libxl_dominfo *list = NULL;
    int rc, n = 0, i;
    struct stat st;
    bool have_st;

    *who_r = NULL;
    rc = hyp_enter(h, "image_user", err);
    if (rc)
        goto out;
    have_st = !stat(path, &st);
    list = libxl_list_domain(h->ctx, &n);
    if (!list) {
        rc = hyp_fail(h, err, 0, "cannot list the domains");
        goto out;
    }
    for (i = 0; i < n && !*who_r; i++)
        if (list[i].domid != except_domid)
            *who_r = user_in(h, list[i].domid, path, have_st ? &st : NULL);
    rc = 0;

out:
    if (list)
        libxl_dominfo_list_free(list, n);
    return rc;
}
