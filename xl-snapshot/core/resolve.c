/* SPDX-License-Identifier: LGPL-2.1-only */
/* See resolve.h.  Reads only; takes no lock. */
#include "core/resolve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/store.h"
#include "lib/mem.h"

/* Does this domain's folder say that it was called so? */
static bool was_named(const char *root, const char *uuid, const char *who)
{
    struct snap_err ignored = SNAP_ERR_INIT;
    struct snap_store s = SNAP_STORE_INIT;
    struct snap_state st = { 0 };
    bool same = false;

    if (!snap_store_open(&s, root, uuid, false, &ignored) &&
        !snap_state_load(&s, &st, &ignored))
        same = snap_streq(st.domain_name, who);
    snap_state_dispose(&st);
    snap_store_close(&s);
    return same;
}

int snap_store_resolve(const char *root, const char *who, char uuid_r[37],
                       struct snap_err *err)
{
    int rc;
    size_t i, n = 0;
    char **uuids = NULL;
    const char *found = NULL;

    rc = snap_store_domains(root, &uuids, &n, err);
    if (rc == SNAP_NOTFOUND) {
        snap_err_clear(err);
        n = 0;
    } else if (rc) {
        goto out;
    }
    for (i = 0; i < n; i++) {
        if (strcasecmp(uuids[i], who) && !was_named(root, uuids[i], who))
            continue;
        if (found) {
            rc = snap_fail(err, SNAP_INVAL,
                           "two domains were called %s; use "
                           "the UUID: %s or %s",
                           who, found, uuids[i]);
            goto out;
        }
        found = uuids[i];
    }
    if (!found) {
        rc = snap_fail(err, SNAP_NOTFOUND,
                       "no domain named %s runs, and the "
                       "store %s has no snapshot of one",
                       who, root);
        goto out;
    }
    snprintf(uuid_r, 37, "%s", found);
    rc = 0;

out:
    for (i = 0; i < n; i++)
        free(uuids[i]);
    free(uuids);
    return rc;
}
