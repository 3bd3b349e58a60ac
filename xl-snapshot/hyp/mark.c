/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * How a domain that we built is told from one that somebody else built under
 * the same name and uuid: by a word in xenstore, /local/domain/D/xl-snapshot.
 *
 * It is there as soon as the domain has a name: libxl writes c_info.xsdata
 * below /local/domain/D in the transaction that gives it one (libxl_create.c:
 * libxl__domain_make(), Xen 4.17 to 4.21), and `xl restore` takes c_info from
 * the image's header.  The guest may read it and not write it, as all that
 * libxl makes there.
 *
 * libxl also stores c_info, and would give the mark to the domain that a
 * reboot of the guest makes.  So it is taken out of the stored configuration
 * before the new domain has run.
 */
#include "hyp/mark.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "hyp/limits.h"
#include "hyp/lockfile.h"
#include "hyp/xs.h"
#include "lib/file.h"
#include "lib/json.h"
#include "model/domain_json.h"

#define KEY      "xl-snapshot"
#define MARK_MAX 16

static bool mark_ok(const char *mark)
{
    size_t n = strspn(mark, "abcdefghijklmnopqrstuvwxyz0123456789");

    return n > 0 && n <= MARK_MAX && !mark[n];
}

int hyp_mark_put(const char *json, const char *mark, char **json_r,
                 struct snap_err *err)
{
    int rc;
    struct snap_json *root = NULL, *c_info, *data;

    *json_r = NULL;
    if (!mark_ok(mark))
        return snap_fail(err, SNAP_INVAL, "\"%s\" is no mark", mark);
    rc = snap_json_parse(json, strlen(json), &root, err);
    if (rc)
        goto out;
    c_info = snap_json_get(root, "c_info");
    if (snap_json_type(c_info) != SNAP_JSON_OBJECT) {
        rc = snap_fail(err, SNAP_CORRUPT,
                       "the configuration of a domain has no c_info");
        goto out;
    }
    data = snap_json_get(c_info, "xsdata");
    if (snap_json_type(data) != SNAP_JSON_OBJECT) {
        data = snap_json_object();
        snap_json_set(c_info, "xsdata", data);
    }
    snap_json_set_str(data, KEY, mark);
    *json_r = snap_json_text(root, true);
    rc = 0;

out:
    snap_json_free(root);
    return rc;
}

bool hyp_mark_strip(struct snap_json *config)
{
    struct snap_json *c_info = snap_json_get(config, "c_info");
    struct snap_json *data = snap_json_get(c_info, "xsdata");

    if (!snap_json_get(data, KEY))
        return false;
    snap_json_set(data, KEY, NULL);
    if (!snap_json_len(data))
        snap_json_set(c_info, "xsdata", NULL);
    return true;
}

char *hyp_mark_read(struct snap_hyp *h, uint32_t domid)
{
    char *mark = hyp_xs_read(h, "/local/domain/%u/" KEY, domid);

    if (mark && !mark_ok(mark))
        snap_free(&mark);
    return mark;
}

int hyp_mark_find(struct snap_hyp *h, const char *uuid, const char *mark,
                  uint32_t *domid_r)
{
    int rc = SNAP_NOTFOUND, n = 0, i;
    libxl_dominfo *list;
    char have[37], *its;

    list = libxl_list_domain(h->ctx, &n);
    for (i = 0; list && rc && i < n; i++) {
        snprintf(have, sizeof(have), LIBXL_UUID_FMT,
                 LIBXL_UUID_BYTES(list[i].uuid));
        if (strcasecmp(have, uuid))
            continue;
        its = hyp_mark_read(h, list[i].domid);
        if (snap_streq(its, mark)) {
            *domid_r = list[i].domid;
            rc = 0;
        }
        free(its);
    }
    if (!list)
        rc = SNAP_FAIL;
    else
        libxl_dominfo_list_free(list, n);
    return rc;
}

/* libxl stores a NUL behind the text and wants one (libxl_internal.c:
 * libxl__get_domain_configuration()). */
int hyp_mark_strip_stored(const char *path, struct snap_err *err)
{
    int rc;
    size_t len;
    char *text = NULL, *stripped = NULL;
    struct snap_json *root = NULL;

    rc = snap_file_read(path, SNAP_DOMAIN_JSON_MAX, &text, &len, err);
    if (rc)
        goto out;
    rc = snap_json_parse(text, len, &root, err);
    if (rc)
        goto out;
    if (!hyp_mark_strip(root))
        goto out;
    stripped = snap_json_text(root, true);
    rc = snap_file_write(path, stripped, strlen(stripped) + 1, 0600, false,
                         err);

out:
    snap_json_free(root);
    free(text);
    free(stripped);
    return rc;
}

void hyp_mark_forget(struct snap_hyp *h, const struct snap_domain *dom)
{
    int rc, lock = -1;
    struct snap_err why = SNAP_ERR_INIT;
    char *path = snap_printf("%s/userdata-d.%u.%s.libxl-json", hyp_lib_dir,
                             dom->domid, dom->uuid);

    rc = hyp_lock_userdata(dom, HYP_LOCK_DATA, hyp_limits.lock_ms, &lock,
                           &why);
    if (!rc)
        rc = hyp_mark_strip_stored(path, &why);
    hyp_unlock(&lock);
    /* It runs all the same; a reboot would only carry the word on. */
    if (rc)
        snap_say(h->log, SNAP_LOG_NOTE,
                 "%s: the mark of this command stays in its stored configuration: %s",
                 dom->name, why.msg);
    free(path);
}

/* libxl has it as key, value, key, value, NULL. */
void hyp_mark_drop(libxl_key_value_list *data)
{
    char **from, **to;

    if (!*data)
        return;
    for (from = to = *data; *from; from += 2) {
        if (!strcmp(from[0], KEY)) {
            free(from[0]);
            free(from[1]);
            continue;
        }
        to[0] = from[0];
        to[1] = from[1];
        to += 2;
    }
    *to = NULL;
}
