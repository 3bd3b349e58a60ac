/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Reading xenstore.  Values may have been written by a guest: they are
 * bounded by xenstored (4 kB) and taken as text, never trusted to be a
 * number or a path that is there.  Reads only.
 */
#include "hyp/xs.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *vread(struct snap_hyp *h, const char *fmt, va_list ap)
{
    char path[512]; /* XENSTORE_ABS_PATH_MAX is 3072; ours fit */
    unsigned int len;
    int n;

    n = vsnprintf(path, sizeof(path), fmt, ap);
    if (n < 0 || (size_t)n >= sizeof(path))
        return NULL;
    return xs_read(h->xsh, XBT_NULL, path, &len);
}

char *hyp_xs_read(struct snap_hyp *h, const char *fmt, ...)
{
    va_list ap;
    char *value;

    va_start(ap, fmt);
    value = vread(h, fmt, ap);
    va_end(ap);
    return value;
}

long hyp_xs_long(struct snap_hyp *h, long dflt, const char *fmt, ...)
{
    char *value, *end;
    long n = dflt;
    va_list ap;

    va_start(ap, fmt);
    value = vread(h, fmt, ap);
    va_end(ap);
    if (value && value[0]) {
        errno = 0;
        n = strtol(value, &end, 10);
        if (*end || errno)
            n = dflt;
    }
    free(value);
    return n;
}

/*
 * libxl_disk.c: "dev" holds the name, in the backend's node and in libxl's
 * copy of it, which unlike the backend's cannot be written by a driver
 * domain.
 */
char *hyp_xs_disk(struct snap_hyp *h, uint32_t domid, const char *vdev)
{
    static const char *const kinds[] = { "vbd", "virtio_disk" };
    char *found = NULL, *dir = NULL, *dev, **ids;
    unsigned int n, i;
    size_t k;

    for (k = 0; k < sizeof(kinds) / sizeof(kinds[0]) && !found; k++) {
        dir = snap_printf("/libxl/%u/device/%s", domid, kinds[k]);
        ids = xs_directory(h->xsh, XBT_NULL, dir, &n);
        for (i = 0; ids && i < n && !found; i++) {
            dev = hyp_xs_read(h, "%s/%s/dev", dir, ids[i]);
            if (snap_streq(dev, vdev))
                found = snap_printf("%s/%s", dir, ids[i]);
            free(dev);
        }
        free(ids);
        snap_free(&dir);
    }
    return found;
}

char *hyp_xs_disk_list(struct xs_handle *xsh, uint32_t domid)
{
    static const char *const kinds[] = { "vbd", "virtio_disk" };
    struct snap_buf b = { 0 };
    char dir[64], **ids;
    unsigned int n, i;
    size_t k;

    snap_buf_add(&b, "", 0);
    for (k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
        snprintf(dir, sizeof(dir), "/libxl/%u/device/%s", domid, kinds[k]);
        n = 0;
        ids = xs_directory(xsh, XBT_NULL, dir, &n);
        if (!ids && errno != ENOENT) {
            snap_buf_dispose(&b);
            return NULL;
        }
        for (i = 0; ids && i < n; i++)
            snap_buf_addf(&b, "%s/%s\n", dir, ids[i]);
        free(ids);
    }
    return b.data ? b.data : snap_strdup("");
}
