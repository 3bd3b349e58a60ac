/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Making new active images known.  After an external snapshot QEMU writes to
 * another file, and three places still name the old one:
 *   - libxl's stored configuration ("libxl-json" userdata): what `xl save`,
 *     `xl migrate` and a reboot use (libxl_disk.c: libxl_device_disk_merge()
 *     prefers it to xenstore for all but removable disks),
 *   - the backend's node in xenstore, which QEMU reads when it connects,
 *   - libxl's copy of that node, which libxl_device_disk_list() reads.
 * Starting a guest on the old file would destroy the snapshot: the stored
 * configuration is written first, and durably.  Both nodes of all disks then
 * change in one transaction.
 *
 * It runs while the guest stands still, so it does nothing slow, and is
 * idempotent, so that recovery may repeat it.  `xl block-attach` changes the
 * same places under "libxl-device-changes-lock"; held here, so no libxl call
 * below may take that one (libxl_userdata_* take only their own).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/domcfg.h"
#include "hyp/hyp.h"
#include "lib/file.h"

#define LOCK_MS 10000
#define TRIES   50 /* of a xenstore transaction */

/* --- libxl's stored configuration -------------------------------------- */

/* libxl renames the new file into place without asking the disk to have it. */
static int sync_stored(const struct snap_domain *dom, struct snap_err *err)
{
    char *path = NULL;
    int rc, fd = -1;

    path = snap_printf(HYP_LIB_DIR "/userdata-d.%u.%s.libxl-json", dom->domid,
                       dom->uuid);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        rc = snap_fail_errno(err, SNAP_IO, errno, "%s", path);
        goto out;
    }
    rc = snap_file_sync(fd, path, err);
    if (rc)
        goto out;
    rc = snap_dir_sync(HYP_LIB_DIR, err);

out:
    if (fd >= 0)
        close(fd);
    free(path);
    return rc;
}

static int store_config(struct snap_hyp *h, const struct snap_domain *dom,
                        const struct snap_active *a, size_t n,
                        struct snap_err *err)
{
    char *old = NULL, *new = NULL;
    uint8_t *data = NULL;
    int rc, xl, len = 0;

    xl = libxl_userdata_retrieve(h->ctx, dom->domid, "libxl-json", &data,
                                 &len);
    if (xl || !data || len <= 0) {
        rc = hyp_fail(h, err, xl, "%s: cannot read its stored configuration",
                      dom->name);
        goto out;
    }
    old = snap_strndup((char *)data, len);
    rc = snap_domcfg_set_disks(old, a, n, &new, err);
    if (rc)
        goto out;
    /* libxl hands the bytes to its JSON parser as a string: NUL included. */
    xl = libxl_userdata_store(h->ctx, dom->domid, "libxl-json",
                              (const uint8_t *)new, strlen(new) + 1);
    if (xl) {
        rc = hyp_fail(h, err, xl, "%s: cannot store its new configuration",
                      dom->name);
        goto out;
    }
    rc = sync_stored(dom, err);

out:
    free(new);
    free(old);
    free(data);
    return rc;
}

/* --- xenstore ---------------------------------------------------------- */

struct nodes {
    char *libxl, *backend; /* the two "params" nodes of a disk */
    char *params; /* and what belongs into them */
};

static void nodes_dispose(struct nodes *nodes, size_t n)
{
    size_t i;

    for (i = 0; nodes && i < n; i++) {
        free(nodes[i].libxl);
        free(nodes[i].backend);
        free(nodes[i].params);
    }
    free(nodes);
}

/* libxl_disk.c: device_disk_add(): a qdisk has "FORMAT:PATH", others the
 * bare path. */
static int find_nodes(struct snap_hyp *h, const struct snap_domain *dom,
                      const struct snap_active *a, struct nodes *n_r,
                      struct snap_err *err)
{
    char *node = NULL, *backend = NULL;
    const char *word;
    int rc;

    node = hyp_xs_disk(h, dom->domid, a->vdev);
    if (node)
        backend = hyp_xs_read(h, "%s/backend", node);
    if (!backend) {
        rc = snap_fail(err, SNAP_NOTFOUND, "%s: disk %s is not in xenstore",
                       dom->name, a->vdev);
        goto out;
    }
    n_r->libxl = snap_printf("%s/params", node);
    n_r->backend = snap_printf("%s/params", backend);
    if (strstr(backend, "/backend/qdisk/")) {
        word = hyp_params_word(a->format);
        if (!word) {
            rc = snap_fail(err, SNAP_UNSUPPORTED,
                           "%s: disk %s: libxl knows no format \"%s\"",
                           dom->name, a->vdev, a->format);
            goto out;
        }
        n_r->params = snap_printf("%s:%s", word, a->path);
    } else {
        n_r->params = snap_strdup(a->path);
    }
    rc = 0;

out:
    free(node);
    free(backend);
    return rc;
}

/* A write keeps a node's permissions, so the guest can still read it. */
static int write_nodes(struct snap_hyp *h, const struct snap_domain *dom,
                       const struct nodes *nodes, size_t n,
                       struct snap_err *err)
{
    xs_transaction_t t;
    bool ok = false;
    int tries;
    size_t i;

    for (tries = 0; tries < TRIES; tries++) {
        t = xs_transaction_start(h->xsh);
        if (t == XBT_NULL)
            break;
        ok = true;
        for (i = 0; ok && i < n; i++)
            ok = xs_write(h->xsh, t, nodes[i].libxl, nodes[i].params,
                          strlen(nodes[i].params)) &&
                 xs_write(h->xsh, t, nodes[i].backend, nodes[i].params,
                          strlen(nodes[i].params));
        if (!ok) {
            xs_transaction_end(h->xsh, t, true);
            break;
        }
        if (xs_transaction_end(h->xsh, t, false))
            return 0;
        if (errno != EAGAIN)
            break;
    }
    return snap_fail_errno(err, SNAP_FAIL, errno,
                           "%s: cannot write its disks to xenstore",
                           dom->name);
}

int hyp_set_active(struct snap_hyp *h, const struct snap_domain *dom,
                   const struct snap_active *a, size_t n, struct snap_err *err)
{
    struct nodes *nodes = NULL;
    enum hyp_state state;
    int rc, lock = -1;
    size_t i;

    rc = hyp_enter(h, "set_active", err);
    if (rc || !n)
        goto out;
    rc = hyp_state(h, dom, &state, err);
    if (rc)
        goto out;
    rc = hyp_lock_userdata(dom, "libxl-device-changes-lock", LOCK_MS, &lock,
                           err);
    if (rc)
        goto out;
    nodes = snap_zalloc(n * sizeof(*nodes));
    for (i = 0; i < n; i++) {
        rc = find_nodes(h, dom, &a[i], &nodes[i], err);
        if (rc)
            goto out;
    }
    rc = store_config(h, dom, a, n, err);
    if (rc)
        goto out;
    rc = write_nodes(h, dom, nodes, n, err);

out:
    nodes_dispose(nodes, n);
    hyp_unlock(&lock);
    return rc;
}
