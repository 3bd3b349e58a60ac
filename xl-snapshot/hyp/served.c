/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Must a domain have a QEMU of this host?  A destruction takes away, one after
 * the other, its QEMU with its pid and its sockets, its devices, all that
 * xenstore and libxl's stored configuration know of it, and the domain at last
 * (libxl_domain.c: libxl__destroy_domid(), Xen 4.17 to 4.21).  Whoever does it
 * may be killed in between, and the domain stands there, paused, for good.  So
 * each of these places is asked, and one that knows nothing any more is an
 * answer, too.  Reads only.
 */
#include "hyp/served.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hyp/domain.h"
#include "hyp/limits.h"
#include "hyp/proc.h"
#include "hyp/xs.h"
#include "lib/file.h"
#include "model/domain_json.h"

/* libxl_device.c: libxl__device_backend_path(); of dom0, which is here. */
#define QDISK "/local/domain/0/backend/qdisk/"

/* A node of libxl's own is there; SNAP_FAIL if xenstore does not tell. */
static int has_node(struct snap_hyp *h, uint32_t domid, bool *has_r,
                    struct snap_err *err)
{
    char *type = hyp_xs_read(h, "/libxl/%u/type", domid);

    *has_r = type;
    if (!type && errno != ENOENT)
        return snap_fail_errno(err, SNAP_FAIL, errno,
                               "xenstore does not tell of domain %u", domid);
    free(type);
    return 0;
}

static int ask_xenstore(struct snap_hyp *h, uint32_t domid, bool *qdisk_r,
                        struct snap_err *err)
{
    char *list = hyp_xs_disk_list(h->xsh, domid), *save = NULL, *node;

    *qdisk_r = false;
    if (!list)
        return snap_fail_errno(err, SNAP_FAIL, errno,
                               "xenstore does not tell the disks of domain %u",
                               domid);
    for (node = strtok_r(list, "\n", &save); node && !*qdisk_r;
         node = strtok_r(NULL, "\n", &save)) {
        char *backend = hyp_xs_read(h, "%s/backend", node);

        *qdisk_r = backend && snap_has_prefix(backend, QDISK);
        free(backend);
    }
    free(list);
    return 0;
}

/* What libxl stored.  A configuration that cannot be read says nothing. */
static bool ask_stored(const struct snap_domain *dom)
{
    char *path = snap_printf("%s/userdata-d.%u.%s.libxl-json", hyp_lib_dir,
                             dom->domid, dom->uuid);
    struct snap_err ignored = SNAP_ERR_INIT;
    struct snap_vbd *v = NULL;
    char *text = NULL;
    size_t len, n = 0, i;
    bool qdisk = false;

    if (!snap_file_read(path, SNAP_DOMAIN_JSON_MAX, &text, &len, &ignored))
        snap_domain_json_disks(text, &v, &n, &ignored);
    for (i = 0; i < n; i++)
        qdisk |= !v[i].backend_domid && snap_streq(v[i].backend, "qdisk");
    for (i = 0; i < n; i++)
        snap_vbd_dispose(&v[i]);
    free(v);
    free(text);
    free(path);
    return qdisk;
}

int hyp_needs_qemu(struct snap_hyp *h, const struct snap_domain *dom,
                   bool *needs_r, struct snap_err *err)
{
    int rc;
    bool has = false;

    *needs_r = false;
    if (dom->stubdom)
        return 0;
    rc = has_node(h, dom->domid, &has, err);
    if (rc)
        return rc;
    *needs_r = !has || dom->dying || dom->type == SNAP_GUEST_HVM;
    if (!*needs_r)
        rc = ask_xenstore(h, dom->domid, needs_r, err);
    if (!rc && !*needs_r)
        *needs_r = ask_stored(dom);
    return rc;
}

bool hyp_is_half_gone(struct snap_hyp *h, const struct snap_domain *dom)
{
    struct snap_err ignored = SNAP_ERR_INIT;
    enum hyp_state state;
    bool needs = false;

    if (hyp_state(h, dom, &state, &ignored))
        return false;
    if (state == HYP_DYING)
        return true;
    if (dom->qemu_pid && hyp_is_qemu(dom->qemu_pid, dom->domid))
        return false;
    return !hyp_needs_qemu(h, dom, &needs, &ignored) && needs;
}
