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
 * configuration is written first.  Both nodes of all disks then change in one
 * transaction.
 *
 * It runs while the guest stands still, so it does nothing slow, and is
 * idempotent, so that recovery may repeat it.  The locks are the window's; see
 * window.c why the file is read and written here and not by libxl.
 *
 * Nothing is synced.  libxl reads the stored configuration as long as this
 * domain with this number lives, and no domain outlives a power cut: after one
 * its number's file is never read again, only overwritten when a domain is
 * built or removed with it.  What a power cut needs to know is in our journal.
 */
#include "hyp/set_active.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hyp/call.h"
#include "hyp/disks.h"
#include "hyp/domain.h"
#include "hyp/limits.h"
#include "hyp/proc.h"
#include "hyp/served.h"
#include "hyp/window.h"
#include "lib/file.h"
#include "model/domain_json.h"

#define TRIES 50 /* of a xenstore transaction */

/* --- libxl's stored configuration -------------------------------------- */

/* As libxl_dom.c: libxl__userdata_path() and libxl__userdata_store() have it:
 * "n" is renamed to "d". */
static char *stored_path(const struct snap_domain *dom, char kind)
{
    return snap_printf("%s/userdata-%c.%u.%s.libxl-json", hyp_lib_dir, kind,
                       dom->domid, dom->uuid);
}

/* Whoever reads it sees the old one or the new one.  libxl hands the bytes to
 * its JSON parser as a string: NUL included. */
static int replace_stored(const struct snap_domain *dom, const char *text,
                          struct snap_err *err)
{
    char *to = stored_path(dom, 'd'), *path = stored_path(dom, 'n');
    int rc, fd;

    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
              0600);
    if (fd < 0) {
        rc = snap_fail_errno(err, SNAP_IO, errno, "%s", path);
        goto out;
    }
    rc = snap_write_all(fd, text, strlen(text) + 1, path, err);
    if (close(fd) && !rc)
        rc = snap_fail_errno(err, SNAP_IO, errno, "%s", path);
    if (!rc && rename(path, to))
        rc = snap_fail_errno(err, SNAP_IO, errno, "%s", to);
    if (rc)
        unlink(path);

out:
    free(to);
    free(path);
    return rc;
}

static int store_config(const struct snap_domain *dom,
                        const struct snap_active *a, size_t n,
                        struct snap_err *err)
{
    char *path = stored_path(dom, 'd'), *old = NULL, *new = NULL;
    size_t len;
    int rc;

    rc = snap_file_read(path, SNAP_DOMAIN_JSON_MAX, &old, &len, err);
    if (!rc)
        rc = snap_domain_json_set_disks(old, a, n, &new, err);
    if (!rc)
        rc = replace_stored(dom, new, err);
    if (rc)
        snap_err_prefix(err, "%s: its stored configuration", dom->name);
    free(new);
    free(old);
    free(path);
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
    const char *node, *backend, *word;

    if (!hyp_window_disk(h, a->vdev, &node, &backend))
        return snap_fail(err, SNAP_NOTFOUND, "%s: disk %s is not in xenstore",
                         dom->name, a->vdev);
    n_r->libxl = snap_printf("%s/params", node);
    n_r->backend = snap_printf("%s/params", backend);
    if (!strstr(backend, "/backend/qdisk/")) {
        n_r->params = snap_strdup(a->path);
        return 0;
    }
    word = hyp_params_word(a->format);
    if (!word)
        return snap_fail(err, SNAP_UNSUPPORTED,
                         "%s: disk %s: libxl knows no format \"%s\"",
                         dom->name, a->vdev, a->format);
    n_r->params = snap_printf("%s:%s", word, a->path);
    return 0;
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

/*
 * Was it told in time?  Whoever builds it again reads the stored configuration
 * once it is down, under the lock that is held here: so if it runs still, it
 * was.  Else he may have read it before.
 */
static int was_in_time(struct snap_hyp *h, const struct snap_domain *dom,
                       struct snap_err *err)
{
    enum hyp_state state = HYP_DYING;
    struct snap_err gone = SNAP_ERR_INIT;
    int rc = hyp_state(h, dom, &state, &gone);

    if (rc && rc != SNAP_NOTFOUND)
        return snap_fail(err, rc, "%s", gone.msg);
    if ((state != HYP_SHUTDOWN && state != HYP_DYING) ||
        dom->monitor_pid <= 0 || kill(dom->monitor_pid, 0) ||
        hyp_wait_stopped(dom->monitor_pid, 0))
        return 0;
    return snap_fail(err, SNAP_BUSY,
                     "%s went down before its disks were known to Xen, and process %ld may build it again with those that it had",
                     dom->name, (long)dom->monitor_pid);
}

int hyp_set_active(struct snap_hyp *h, const struct snap_domain *dom,
                   const struct snap_active *a, size_t n, struct snap_err *err)
{
    struct nodes *nodes = NULL;
    enum hyp_state state;
    bool opened = false;
    int rc;
    size_t i;

    rc = hyp_enter(h, "set_active", err);
    if (rc || !n)
        goto out;
    if (!hyp_window_is_open(h, dom)) {
        rc = hyp_window_open(h, dom, a, n, err);
        if (rc)
            goto out;
        opened = true;
    }
    rc = hyp_state(h, dom, &state, err);
    if (rc)
        goto out;
    nodes = snap_zalloc(n * sizeof(*nodes));
    for (i = 0; i < n; i++) {
        rc = find_nodes(h, dom, &a[i], &nodes[i], err);
        if (rc)
            goto out;
    }
    rc = store_config(dom, a, n, err);
    if (rc)
        goto out;
    rc = write_nodes(h, dom, nodes, n, err);

out:
    /* What a destruction has taken away already needs not be told. */
    if (rc == SNAP_NOTFOUND && hyp_is_half_gone(h, dom)) {
        snap_err_clear(err);
        rc = 0;
    }
    if (!rc && n)
        rc = was_in_time(h, dom, err);
    nodes_dispose(nodes, n);
    if (opened)
        hyp_window_close(h);
    return rc;
}
